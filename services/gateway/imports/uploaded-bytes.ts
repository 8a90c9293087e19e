import { KeylineError, toError } from "../../../shared/runtime/errors.ts";

/**
 * The bytes of a part of an upload, as long as they come.
 *
 * @param idleMs for the next of them to come; while nobody reads, nobody waits.
 * @throws KeylineError `upload_stalled`; `upload_broken` where the request is no multipart or ends too soon; the
 *   signal's reason
 */
export async function* patiently<T>(
  bytes: AsyncIterable<T>,
  { idleMs, signal }: Patience,
): AsyncGenerator<T> {
  const source = bytes[Symbol.asyncIterator]();
  for (;;) {
    const { value, done } = await soon(source.next(), { idleMs, signal });
    if (done) return;
    yield value;
  }
}

export type Patience = { idleMs: number; signal: AbortSignal };

async function soon<T>(coming: Promise<T>, { idleMs, signal }: Patience): Promise<T> {
  const late = Promise.withResolvers<never>();
  const onAbort = () => late.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  const message = `nothing more came for ${idleMs / 1_000} s`;
  const timer = setTimeout(() => late.reject(new KeylineError("upload_stalled", message)), idleMs);
  try {
    return await Promise.race([coming, late.promise]);
  } catch (thrown) {
    const error = toError(thrown);
    if (error instanceof KeylineError) throw error;
    throw new KeylineError("upload_broken", `body: ${error.message}`, { path: "body", cause: error });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** @throws KeylineError `too_large` */
export async function* atMost(
  bytes: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const chunk of bytes) {
    length += chunk.length;
    if (length > maxBytes) {
      const message = `file: longer than ${maxBytes} bytes, unpacked`;
      throw new KeylineError("too_large", message, { path: "file", value: maxBytes });
    }
    yield chunk;
  }
}
