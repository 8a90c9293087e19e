import { Compile } from "typebox/compile";
import { parse } from "yaml";
import { quote } from "../domain/refusal.ts";
import { refuseBySchema } from "../domain/refuse-by-schema.ts";
import { locate } from "../domain/schema-error.ts";
import { KeylineError, toError } from "../runtime/errors.ts";
import { Mapping } from "./mapping.ts";

const validator = Compile(Mapping);
const CELLS = ["set", "add", "remove", "increment"] as const;
const COLUMNS = ["userId", "id", "at"];

/**
 * A mapping from its YAML or JSON.
 * @throws KeylineError `bad_mapping`, with the path and the value that are wrong
 */
export function readMapping(text: string): Mapping {
  const mapping = expand(parsed(text));
  if (!validator.Check(mapping)) {
    const [error] = validator.Errors(mapping);
    const { path, message } = refuseBySchema("bad_mapping", error, mapping, "", formOf);
    throw badMapping(path, locate(error, mapping).found, message);
  }
  refuseContradictions(mapping);
  return mapping;
}

export function badMapping(path: string, value: unknown, message: string): KeylineError {
  const given = value === undefined ? "" : `, not ${quote(value)}`;
  const place = path === "" ? "mapping" : path;
  return new KeylineError("bad_mapping", `${place}: ${message}${given}`, { path: place, value });
}

function parsed(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0 });
  } catch (thrown) {
    throw badMapping("", undefined, toError(thrown).message);
  }
}

/** Every shorthand written out, of what has the form for it. */
function expand(mapping: unknown): unknown {
  return mapValues(mapping, (value, key) => {
    if (COLUMNS.includes(key)) return columnOf(value);
    if (CELLS.some((each) => each === key)) return mapValues(value, columnOf);
    if (key !== "event") return value;
    return mapValues(value, (part, name) => (name === "properties" ? mapValues(part, columnOf) : part));
  });
}

function columnOf(value: unknown): unknown {
  return typeof value === "string" ? { column: value } : value;
}

function mapValues(value: unknown, change: (value: unknown, key: string) => unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, change(each, key)]));
}

/** In the place of the validator's words where they would be a pattern, or say nothing of what is known. */
function formOf([key, ...rest]: string[], unknown: boolean): string | undefined {
  if (key === undefined) return "must be an object with userId and operations";
  if (key === "delimiter") return "must be one character, no quote, or `whitespace`";
  if (unknown && rest.length === 0) return `is not known; ${Object.keys(Mapping.properties).join(", ")} are`;
  return undefined;
}

/** What the schema can't say. @throws KeylineError `bad_mapping` */
function refuseContradictions(mapping: Mapping): void {
  const { format, event, header, columns } = mapping;
  if (![event, ...CELLS.map((kind) => mapping[kind])].some((part) => part !== undefined))
    throw badMapping("", undefined, `must have at least one of event, ${CELLS.join(", ")}`);
  if (event && (event.name === undefined) === (event.column === undefined))
    throw badMapping("event", event, "must have either a name or a column to take it from");
  for (const key of ["delimiter", "header", "columns"] as const)
    if (format === "ndjson" && mapping[key] !== undefined)
      throw badMapping(key, mapping[key], "is for csv only");
  if (header === false && columns === undefined)
    throw badMapping("columns", undefined, "is required where the file has no header");
  refuseCells("event.properties", event?.properties);
  for (const kind of CELLS) refuseCells(kind, mapping[kind]);
}

function refuseCells(path: string, cells: Mapping["set"] = {}): void {
  for (const [name, cell] of Object.entries(cells))
    if ((cell.column === undefined) === (cell.value === undefined))
      throw badMapping(`${path}.${name}`, cell, "must have either a column or a value");
}
