/** What becomes of the text of a body before it is sent. */
import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";

/** A content encoding, and what is sent for it. */
export type Packing = { encoding: string; pack(text: Buffer): Buffer };
const packings: Packing[] = [
  { encoding: "gzip", pack: (text) => gzipSync(text) },
  { encoding: "deflate", pack: (text) => deflateSync(text) },
  { encoding: "gzip", pack: (text) => gzipSync(text).subarray(0, -4) },
  { encoding: "gzip", pack: (text) => Buffer.concat([gzipSync(text), Buffer.from("more")]) },
  { encoding: "gzip", pack: () => gzipSync(Buffer.alloc(1_100_000, " ")) },
  { encoding: "gzip", pack: (text) => text },
  { encoding: "deflate", pack: (text) => gzipSync(text) },
  { encoding: "gzip", pack: () => Buffer.alloc(0) },
  ...["br", "identity", "gzip, gzip", "x", "", "__proto__", "toString"].map((encoding) => ({
    encoding,
    pack: (text: Buffer) => text,
  })),
];

export const arbitraryPacking: fc.Arbitrary<Packing> = fc.constantFrom(...packings);

/** What is done to bytes: cut off, overwritten, put in between. */
export const arbitraryDamagedBytes: fc.Arbitrary<(text: Buffer) => Buffer> = fc
  .record({
    at: fc.nat({ max: 400 }),
    how: fc.constantFrom("cut", "overwrite", "insert" as const),
    bytes: fc.oneof(
      fc
        .constantFrom(
          "ff",
          "c080",
          "eda080",
          "f4908080",
          "80",
          "c3",
          "00",
          "efbbbf",
          "e28080",
          "22",
          "7b",
          "5d",
          "5c",
        )
        .map((hex) => Buffer.from(hex, "hex")),
      fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
    ),
  })
  .map(({ at, how, bytes }) => (text: Buffer) => {
    const place = at % (text.length + 1);
    const rest = how === "insert" ? text.subarray(place) : text.subarray(place + bytes.length);
    return how === "cut" ? text.subarray(0, place) : Buffer.concat([text.subarray(0, place), bytes, rest]);
  });
