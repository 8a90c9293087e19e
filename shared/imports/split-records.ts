/**
 * Cuts a file into its records, with the line and the byte at which each is. A record is a line; of CSV with quoted
 * fields it may be several. What is broken costs its own line only: the search for the next record goes on in the
 * line behind it. csv-parse gives up the rest of the file after a quote that is not closed, and has no bytes to go on
 * from.
 */
import { isUtf8 } from "node:buffer";
import { quote } from "../domain/refusal.ts";
import { KeylineError } from "../runtime/errors.ts";
import type { RowRefusal } from "./map-row.ts";

/** Where a record begins. */
export type Place = {
  /** From 1 on. */
  line: number;
  /** In bytes from the beginning of the file, unpacked. */
  offset: number;
};

export type RawRecord = {
  line: number;
  /** Where the one behind it begins. */
  next: Place;
  /** Without its line end; of one that is too long its beginning. */
  text: string;
  problem?: RowRefusal;
};

export type RecordSplitter = {
  /** The records that are whole by now. */
  push(chunk: Uint8Array): RawRecord[];
  /** What is left. */
  end(): RawRecord[];
};

/** Of a record; a longer one is refused. */
export const MAX_RECORD_BYTES = 262_144;
const SHOWN_OF_TOO_LONG = 1_000;

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const QUOTE = 0x22;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Where a record ends: at the index of its line end, or nowhere yet; or its first line is broken. */
type End = { at: number } | "open" | { broken: string };

/** @param quotes the delimiter of fields that may be quoted; undefined where a record is a line. */
export function createRecordSplitter(options: {
  quotes: string | undefined;
  from?: Place;
  maxRecordBytes?: number;
}): RecordSplitter {
  const { quotes, from = { line: 1, offset: 0 }, maxRecordBytes = MAX_RECORD_BYTES } = options;
  const delimiter = quotes?.charCodeAt(0);
  let { line, offset } = from;
  let buffer: Buffer = Buffer.alloc(0);
  /** The beginning of a line that is too long, whose end has not come. */
  let tooLong: string | undefined;
  /** The first quote at or behind the place where the next record begins. */
  let nextQuote = -1;

  function endOf(start: number, final: boolean): End {
    const newline = buffer.indexOf(NEWLINE, start);
    if (newline < 0 && !final) return "open";
    const lineEnd = newline < 0 ? buffer.length : newline;
    if (delimiter === undefined || lineEnd - start > maxRecordBytes) return { at: lineEnd };
    if (nextQuote < start) nextQuote = indexOrEnd(buffer.indexOf(QUOTE, start));
    if (nextQuote > lineEnd) return { at: lineEnd };
    // No further than a record may reach, else it would depend on the chunks what one is.
    const limit = start + maxRecordBytes + 1;
    const end = endOfQuoted(buffer, start, { delimiter, limit, final });
    if (end !== "open") return end;
    if (final || buffer.length >= limit) return { broken: "a quote is opened and not closed" };
    return "open";
  }

  function record(start: number, end: number, problem?: string): RawRecord {
    const length = end + 1 - start;
    const own = line;
    line += problem === undefined ? linesIn(buffer, start, end) : 1;
    offset += Math.min(length, buffer.length - start);
    const isReturn = end > start && buffer[end - 1] === RETURN;
    const bytes = buffer.subarray(start, isReturn ? end - 1 : end);
    const next = { line, offset };
    if (bytes.length > maxRecordBytes) return tooLongRecord(own, next, shown(bytes));
    const text = bytes.toString();
    if (!isUtf8(bytes)) return withProblem(own, next, text, "not_utf8", "the line is not UTF-8");
    if (problem !== undefined) return withProblem(own, next, text, "broken_quotes", problem);
    return { line: own, next, text };
  }

  /** A line of which more than the bound has come, and not its end: its rest is passed over. */
  function passOver(start: number, final: boolean): { records: RawRecord[]; end: number } {
    const newline = buffer.indexOf(NEWLINE, start);
    tooLong ??= shown(buffer.subarray(start));
    if (newline < 0 && !final) {
      offset += buffer.length - start;
      return { records: [], end: buffer.length };
    }
    const end = newline < 0 ? buffer.length : newline + 1;
    offset += end - start;
    line += 1;
    const whole = tooLongRecord(line - 1, { line, offset }, tooLong);
    tooLong = undefined;
    return { records: [whole], end };
  }

  function take(final: boolean): RawRecord[] {
    if (offset === 0 && buffer.length < BYTE_ORDER_MARK.length && !final) return [];
    const records: RawRecord[] = [];
    let start = offset === 0 ? lengthOfMark(buffer) : 0;
    offset += start;
    while (start < buffer.length) {
      if (tooLong !== undefined) {
        const passed = passOver(start, final);
        records.push(...passed.records);
        start = passed.end;
        continue;
      }
      const end = endOf(start, final);
      if (end === "open") {
        if (buffer.length - start <= maxRecordBytes || buffer.indexOf(NEWLINE, start) >= 0) break;
        const passed = passOver(start, final);
        start = passed.end;
        continue;
      }
      const lineEnd = "at" in end ? end.at : indexOrEnd(buffer.indexOf(NEWLINE, start));
      records.push(record(start, lineEnd, "broken" in end ? end.broken : undefined));
      start = Math.min(buffer.length, lineEnd + 1);
    }
    if (final && tooLong !== undefined) records.push(...passOver(start, true).records);
    buffer = buffer.subarray(start);
    nextQuote = -1;
    return records;
  }

  function indexOrEnd(index: number): number {
    return index < 0 ? buffer.length : index;
  }

  return {
    push(chunk) {
      buffer =
        buffer.length === 0
          ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
          : Buffer.concat([buffer, chunk]);
      return take(false);
    },
    end: () => take(true),
  };
}

/** Fields are quoted from their first character to their last; within them a quote is written twice. */
function endOfQuoted(
  buffer: Buffer,
  start: number,
  { delimiter, limit, final }: { delimiter: number; limit: number; final: boolean },
): End {
  let state: "start" | "plain" | "quoted" | "closed" = "start";
  const scanned = Math.min(buffer.length, limit);
  for (let index = start; index < scanned; index += 1) {
    const byte = buffer[index]!;
    if (state === "quoted") {
      if (byte === QUOTE) state = "closed";
      continue;
    }
    if (byte === NEWLINE) return { at: index };
    if (byte === delimiter) state = "start";
    else if (byte === QUOTE) {
      if (state === "plain") return { broken: "a quote stands within a field that is not quoted" };
      state = "quoted";
    } else if (state === "closed" && !endsLine(buffer, index))
      return { broken: "something stands behind the quote that closes a field" };
    else if (state === "start") state = "plain";
  }
  return final && scanned === buffer.length && state !== "quoted" ? { at: buffer.length } : "open";
}

/** @throws KeylineError `not_utf8` */
function lengthOfMark(buffer: Buffer): number {
  const [first, second] = buffer;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new KeylineError("not_utf8", "the file is UTF-16: it must be UTF-8");
  return buffer.subarray(0, 3).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
}

function endsLine(buffer: Buffer, index: number): boolean {
  return buffer[index] === RETURN && (index + 1 === buffer.length || buffer[index + 1] === NEWLINE);
}

function linesIn(buffer: Buffer, start: number, end: number): number {
  let lines = 1;
  for (let at = buffer.indexOf(NEWLINE, start); at >= 0 && at < end; at = buffer.indexOf(NEWLINE, at + 1))
    lines += 1;
  return lines;
}

function shown(bytes: Buffer): string {
  return bytes.subarray(0, SHOWN_OF_TOO_LONG).toString();
}

function tooLongRecord(line: number, next: Place, text: string): RawRecord {
  return withProblem(line, next, text, "line_too_long", "the line is longer than a row may be");
}

function withProblem(line: number, next: Place, text: string, code: string, message: string): RawRecord {
  return { line, next, text, problem: { code, path: "", value: quote(text), message } };
}
