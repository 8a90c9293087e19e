/** A text that may hold a URL, as it may be printed: whatever stands before the last `@` may be a password. */
export function hideCredentials(text: string): string {
  return text.replace(/\/\/.*@/s, "//***@");
}
