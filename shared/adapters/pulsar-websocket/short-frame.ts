const MAX_LENGTH = 125;
const FINAL_TEXT = "\x81";
const MASKED = 0x80;
const ZERO_MASK = "\0\0\0\0";

/**
 * A whole text frame of a client, with a mask of zeros (RFC 6455, 5.2), for a stream in latin1; undefined for a text
 * that needs a longer header. ws would make two buffers and two writes of each; so many are one string and one
 * write.
 * @param text ASCII
 */
export function shortFrame(text: string): string | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  return FINAL_TEXT + String.fromCharCode(MASKED | text.length) + ZERO_MASK + text;
}
