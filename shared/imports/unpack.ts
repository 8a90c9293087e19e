import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { KeylineError, toError } from "../runtime/errors.ts";

const GZIP_MAGIC = [0x1f, 0x8b];

/**
 * The bytes of a file, unpacked where it begins as gzip does.
 * @throws KeylineError `bad_gzip`
 */
export async function* unpacked(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = bytes[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let length = 0;
  while (length < GZIP_MAGIC.length) {
    const { value, done } = await source.next();
    if (done) break;
    first.push(value);
    length += value.length;
  }
  const begin = Buffer.concat(first);
  const all = continued(begin, source);
  if (GZIP_MAGIC.every((byte, index) => begin[index] === byte)) yield* gunzipped(all);
  else yield* all;
}

async function* continued(
  begin: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (begin.length > 0) yield begin;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

async function* gunzipped(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  // What goes wrong comes out of the last of them.
  pipeline(Readable.from(packed, { objectMode: false }), gunzip, () => {});
  try {
    yield* gunzip as AsyncIterable<Uint8Array>;
  } catch (thrown) {
    const error = toError(thrown) as NodeJS.ErrnoException;
    if (!error.code?.startsWith("Z_")) throw error;
    throw new KeylineError("bad_gzip", `the gzip of the file is broken: ${error.message}`, { cause: error });
  }
}
