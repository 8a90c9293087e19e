/** The body of a GET as JSON, whatever the status; rejects without an answer in `timeoutMs`. */
export async function getJson(url: string, timeoutMs = 5_000): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  return response.json();
}
