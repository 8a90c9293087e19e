import { KeylineError, toError } from "../../../shared/runtime/errors.ts";

/**
 * The bytes of a part of an upload, as long as they come.
 *
 * @param idleMs for the next of them to come; while nobody reads, nobody waits.
 * @throws KeylineError `upload_stalled`; `upload_broken` where the request is no multipart or ends too soon
 */
export async function* patiently(
  bytes: AsyncIterable<Uint8Array>,
  idleMs: number,
): AsyncGenerator<Uint8Array> {
  const source = bytes[Symbol.asyncIterator]();
  for (;;) {
    const { value, done } = await soon(source.next(), idleMs);
    if (done) return;
    yield value;
  }
}

async function soon<T>(coming: Promise<T>, idleMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
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
