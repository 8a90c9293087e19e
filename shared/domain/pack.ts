/**
 * Several messages as the text of one: its first line is JSON, of each message the key and the length of its payload in
 * UTF-16 code units, and the payloads follow as they are. Nothing else has to say that it is a pack: an update is a
 * JSON object, and a text that begins as a pack and is none is a message that nobody can read anyway.
 */

/** A message as a pack holds it. */
export type Packed = { key: string; payload: string };

type Header = [key: string, length: number][];

/** A text that tells of more is no pack: ours hold 100 at most, and what somebody else writes is to stay bounded. */
export const MAX_MESSAGES = 256;

/** Brackets, commas, and the digits of a length. */
const HEADER_ENTRY_BYTES = 10;

/** UTF-8 bytes that a message takes in a pack, at most, where nothing has to be escaped. */
export function packedSizeBytes({ key, payload }: Packed): number {
  return Buffer.byteLength(JSON.stringify(key)) + Buffer.byteLength(payload) + HEADER_ENTRY_BYTES;
}

/** How every pack begins, in ASCII. */
export const BEGINNING = "[[";

function beginsAsPack(bytes: Uint8Array): boolean {
  return bytes[0] === BEGINNING.charCodeAt(0) && bytes[1] === BEGINNING.charCodeAt(1);
}

export function packText(messages: readonly Packed[]): string {
  const header = JSON.stringify(messages.map(({ key, payload }) => [key, payload.length]));
  return `${header}\n${messages.map(({ payload }) => payload).join("")}`;
}

/** Undefined where the text is no pack: anyone may write to a queue, and nothing may stop those who read it. */
export function unpackText(text: string): Packed[] | undefined {
  const lineEnd = text.startsWith(BEGINNING) ? text.indexOf("\n") : -1;
  const header = lineEnd < 0 ? undefined : parsedHeader(text.slice(0, lineEnd));
  return header && split(text.slice(lineEnd + 1), header);
}

/** Where a message lies in the bytes of a pack. */
export type Place = { key: string; start: number; end: number };

/** Of a pack in UTF-8, of which little more is read than the header. Undefined where `unpackText` is. */
export function placesOf(bytes: Buffer): Place[] | undefined {
  const lineEnd = beginsAsPack(bytes) ? bytes.indexOf("\n") : -1;
  const header = lineEnd < 0 ? undefined : parsedHeader(bytes.toString("utf8", 0, lineEnd));
  if (header === undefined) return undefined;
  let end = lineEnd + 1;
  const place = (key: string, length: number) => {
    const start = end;
    end += length;
    return { key, start, end };
  };
  // Only of ASCII are there as many bytes as code units.
  if (lengthOf(header) === bytes.length - end) return header.map(([key, length]) => place(key, length));
  const contents = split(bytes.toString("utf8", end), header);
  const places = contents?.map(({ key, payload }) => place(key, Buffer.byteLength(payload)));
  // Bytes that are no text are more of them as text.
  return end === bytes.length ? places : undefined;
}

/** Each message by itself: those of a pack, or the one that it is. */
export function contentsOf({ key, payload }: Packed): Packed[] {
  return unpackText(payload) ?? [{ key, payload }];
}

/** Undefined where there is not as much of them as the header tells. */
function split(payloads: string, header: Header): Packed[] | undefined {
  if (lengthOf(header) !== payloads.length) return undefined;
  let start = 0;
  return header.map(([key, length]) => {
    start += length;
    return { key, payload: payloads.slice(start - length, start) };
  });
}

function parsedHeader(json: string): Header | undefined {
  try {
    const header: unknown = JSON.parse(json);
    return isHeader(header) ? header : undefined;
  } catch {
    return undefined;
  }
}

function isHeader(value: unknown): value is Header {
  return Array.isArray(value) && value.length > 0 && value.length <= MAX_MESSAGES && value.every(isEntry);
}

export function isEntry(entry: unknown): entry is Header[number] {
  return Array.isArray(entry) && typeof entry[0] === "string" && Number.isInteger(entry[1]) && entry[1] >= 0;
}

function lengthOf(header: Header): number {
  return header.reduce((sum, [, length]) => sum + length, 0);
}
