/** The rows of a file, each an update or why it is none. */
import { createHash } from "node:crypto";
import { quote, refuse } from "../domain/refusal.ts";
import { KeylineError } from "../runtime/errors.ts";
import { readJson } from "./cell.ts";
import { fieldsOf } from "./csv-fields.ts";
import type { ImportFormat } from "./import-format.ts";
import {
  compileMapping,
  type Fields,
  type ImportedUpdate,
  type Mapped,
  type MapRow,
  type RowRefusal,
} from "./map-row.ts";
import { createRecordSplitter, type Place, type RawRecord } from "./split-records.ts";

export type ImportedRow = {
  /** Its first. */
  line: number;
  /** Where the row behind it begins. */
  next: Place;
  text: string;
} & Mapped;

export type RowsOptions = {
  /** Unpacked, from `from` on. */
  bytes: AsyncIterable<Uint8Array>;
  format: ImportFormat;
  /** Identifies the import: with it, the line and what stands there, a row has the same id each time. */
  importId: string;
  /** Where an earlier reading stopped, with the columns that it told; by default the beginning. */
  from?: Place & { columns: readonly string[] | undefined };
  /** The columns of CSV, once they are known. */
  onColumns?(columns: readonly string[]): void;
  /** Where the line behind those that were read begins, empty ones and the header included. */
  onRead?(next: Place): void;
};

/**
 * Some rows at a time. Empty lines are none.
 * @throws KeylineError `bad_mapping`, `bad_header`, `not_utf8`, and what `bytes` throws
 */
export async function* readRows(options: RowsOptions): AsyncGenerator<ImportedRow[]> {
  const { bytes, format, from, onRead = () => {} } = options;
  const quotes = format.kind === "csv" && format.delimiter !== "whitespace" ? format.delimiter : undefined;
  const splitter = createRecordSplitter({ quotes, ...(from && { from }) });
  const readRecords = format.kind === "csv" ? csvReader(format, options) : ndjsonReader(format, options);
  const read: Reader = (records) => {
    if (records.length > 0) onRead(records.at(-1)!.next);
    return readRecords(records);
  };
  for await (const chunk of bytes) {
    const rows = read(splitter.push(chunk));
    if (rows.length > 0) yield rows;
  }
  const rows = read(splitter.end());
  if (rows.length > 0) yield rows;
}

type Reader = (records: RawRecord[]) => ImportedRow[];

function csvReader(
  { mapping, delimiter, columns: given, header }: ImportFormat & { kind: "csv" },
  { from, importId, onColumns = () => {} }: RowsOptions,
): Reader {
  let columns = given ?? from?.columns;
  let map = columns && compileMapping(mapping, columns);
  let isHeaderAhead = header && from === undefined;
  if (columns) onColumns(columns);

  function readHeader(record: RawRecord): void {
    isHeaderAhead = false;
    if (columns) return;
    columns = columnsIn(record, delimiter);
    map = compileMapping(mapping, columns);
    onColumns(columns);
  }

  return (all) => {
    const records = all.filter(({ text, problem }) => problem !== undefined || text !== "");
    if (isHeaderAhead && records.length > 0) readHeader(records.shift()!);
    if (records.length === 0) return [];
    const whole = records.filter(({ problem }) => problem === undefined);
    const fields = fieldsOf(
      whole.map(({ text }) => text),
      delimiter,
    )[Symbol.iterator]();
    return records.map((record) => {
      if (record.problem) return rowOf(record, { refusal: record.problem });
      return rowOf(record, csvRow(record, fields.next().value, { map: map!, columns: columns!, importId }));
    });
  };
}

function csvRow(
  { line, text }: RawRecord,
  fields: string[] | undefined,
  { map, columns, importId }: { map: MapRow; columns: readonly string[]; importId: string },
): Mapped {
  if (!fields) return { refusal: refusalOf("broken_quotes", text, "the quotes of the line are broken") };
  if (fields.length === columns.length) return map(fields, rowId(importId, line, text));
  const message = `has ${fields.length} columns, and there are ${columns.length}: ${quote(columns)}`;
  return { refusal: refusalOf("wrong_columns", text, message) };
}

/** @throws KeylineError `bad_header` */
function columnsIn({ line, text, problem }: RawRecord, delimiter: string): string[] {
  const columns = problem ? undefined : fieldsOf([text], delimiter)[0]?.map((name) => name.trim());
  if (!columns) throw badHeader(line, text, problem?.message ?? "its quotes are broken");
  const twice = columns.find((name, index) => columns.indexOf(name) !== index);
  if (twice !== undefined) throw badHeader(line, twice, "a column stands there twice");
  return columns;
}

function badHeader(line: number, value: string, message: string): KeylineError {
  return new KeylineError("bad_header", `line ${line}, the header: ${message}: ${quote(value)}`, {
    ...{ path: "header", value },
  });
}

function ndjsonReader({ mapping }: ImportFormat & { kind: "ndjson" }, { importId }: RowsOptions): Reader {
  const map = mapping ? compileMapping(mapping, undefined) : mapNative;
  const mapped = ({ line, text, problem }: RawRecord): Mapped => {
    if (problem) return { refusal: problem };
    const read = readJson(text);
    if ("problem" in read) return { refusal: refusalOf("not_json", text, `the line ${read.problem}`) };
    if (typeof read.value !== "object" || read.value === null || Array.isArray(read.value))
      return { refusal: refusalOf("not_json", text, "the line must be an object") };
    return map(read.value as Fields, rowId(importId, line, text));
  };
  return (records) =>
    records
      .filter(({ text, problem }) => problem !== undefined || text.trim() !== "")
      .map((record) => rowOf(record, mapped(record)));
}

/** Without a mapping a line is an update, which whoever takes it checks. */
function mapNative(fields: Fields, id: string): Mapped {
  const { priority = "bulk" } = fields as Readonly<Record<string, unknown>>;
  if (priority !== "bulk")
    return {
      refusal: refuse("invalid_update", "priority", priority, "must be bulk, as all of an import is"),
    };
  return { update: { id, ...fields, priority: "bulk" } as unknown as ImportedUpdate };
}

function rowOf({ line, next, text }: RawRecord, mapped: Mapped): ImportedRow {
  return { line, next, text, ...mapped };
}

/** Says the line, for whoever finds it in the ledger; what stands there has a part too, should a file be changed. */
function rowId(importId: string, line: number, text: string): string {
  const digest = createHash("sha256").update(importId).update("\0").update(text).digest("hex");
  return `${digest.slice(0, 16)}-${line}`;
}

function refusalOf(code: string, text: string, message: string): RowRefusal {
  return refuse(code, "", text, message);
}
