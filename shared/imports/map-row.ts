/** A row of a file as an update, as its mapping says. */
import type { Operation, Priority } from "../domain/envelope.ts";
import { quote, type Refusal, refuse } from "../domain/refusal.ts";
import { convert, isEmpty } from "./cell.ts";
import type { At, Cell, Mapping } from "./mapping.ts";
import { momentReader } from "./moment.ts";
import { badMapping } from "./read-mapping.ts";

/** As `/v1/updates` takes it. */
export type ImportedUpdate = {
  userId: string;
  ops: Operation[];
  id: string;
  at?: number | string;
  priority: Priority;
};

/** Its path is the column's name. */
export type RowRefusal = Refusal<string>;
export type Mapped = { update: ImportedUpdate } | { refusal: RowRefusal };

/** The fields of a CSV row in the order of the columns, or an object of NDJSON. */
export type Fields = readonly string[] | Readonly<Record<string, unknown>>;

/** @param id of the update where the mapping names no column for it */
export type MapRow = (fields: Fields, id: string) => Mapped;

/** Undefined: there is nothing in the row. */
type Part<T> = { value: T | undefined } | { refusal: RowRefusal };
type Reader<T> = (fields: Fields) => Part<T>;
type Find = (column: string, path: string) => (fields: Fields) => unknown;

const NOTHING = { value: undefined };

/**
 * @param columns of CSV; undefined for NDJSON, where a column is a path of names with dots between them
 * @throws KeylineError `bad_mapping` where the file has no column that the mapping names
 */
export function compileMapping(mapping: Mapping, columns: readonly string[] | undefined): MapRow {
  const find = columns ? inColumns(columns) : inObject;
  const userId = keyReader(mapping.userId.column, find, "userId");
  const ownId = mapping.id && keyReader(mapping.id.column, find, "id");
  const at = mapping.at && atReader(mapping.at, find);
  const operations = operationReaders(mapping, find);

  return (fields, id) => {
    const user = userId(fields);
    const named = ownId?.(fields) ?? { value: id };
    const moment = at?.(fields) ?? NOTHING;
    if ("refusal" in user) return user;
    if ("refusal" in named) return named;
    if ("refusal" in moment) return moment;
    const ops: Operation[] = [];
    for (const read of operations) {
      const part = read(fields);
      if ("refusal" in part) return part;
      if (part.value !== undefined) ops.push(part.value);
    }
    if (ops.length === 0)
      return refused("empty_row", "", undefined, "has nothing to do: its cells are empty");
    const when = moment.value === undefined ? {} : { at: moment.value };
    return { update: { userId: user.value!, id: named.value!, ...when, priority: "bulk", ops } };
  };
}

function inColumns(columns: readonly string[]): Find {
  return (column, path) => {
    const index = columns.indexOf(column);
    if (index < 0) throw badMapping(path, column, `must be one of the file's columns, ${quote(columns)}`);
    return (fields) => (fields as readonly string[])[index];
  };
}

function inObject(column: string): (fields: Fields) => unknown {
  const names = column.split(".");
  return (fields) => names.reduce<unknown>(member, fields);
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function keyReader(column: string, find: Find, path: string): Reader<string> {
  const read = find(column, `${path}.column`);
  return (fields) => {
    const raw = read(fields);
    if (isEmpty(raw)) return refused("invalid_value", column, raw, `is required: it is the ${path}`);
    if (typeof raw === "object") return refused("invalid_value", column, raw, "must be one value");
    // Read as a number, some thousand others are the same one.
    if (Number.isInteger(raw) && !Number.isSafeInteger(raw))
      return refused("invalid_value", column, raw, "must be text: as a number so long it is not exact");
    return { value: String(raw).trim() };
  };
}

function atReader(at: At, find: Find): Reader<number> {
  const { column, format = "iso", empty = "skip" } = at;
  const read = find(column, "at.column");
  const moment = momentReader(at);
  return (fields) => {
    const raw = read(fields);
    if (isEmpty(raw) && empty === "skip") return NOTHING;
    const value = moment(raw);
    return value === undefined
      ? refused("invalid_value", column, raw, `must be a time of the format ${format}`)
      : { value };
  };
}

function operationReaders(mapping: Mapping, find: Find): Reader<Operation>[] {
  const { event, set, add, remove, increment } = mapping;
  const readers: Reader<Operation>[] = [];
  if (event) readers.push(eventReader(event, find));
  const bodies: [kind: "set" | "add" | "remove" | "increment", read: Reader<object>][] = [];
  if (set) bodies.push(["set", bodyReader(set, find, "set", cellReader)]);
  if (add) bodies.push(["add", bodyReader(add, find, "add", listReader)]);
  if (remove) bodies.push(["remove", bodyReader(remove, find, "remove", listReader)]);
  if (increment) bodies.push(["increment", bodyReader(increment, find, "increment", amountReader)]);
  for (const [kind, read] of bodies)
    readers.push((fields) => {
      const part = read(fields);
      if ("refusal" in part || part.value === undefined) return part as Part<Operation>;
      return { value: { kind, body: part.value } as Operation };
    });
  return readers;
}

function eventReader(event: NonNullable<Mapping["event"]>, find: Find): Reader<Operation> {
  const name: Reader<string> =
    event.column === undefined ? () => ({ value: event.name! }) : keyReader(event.column, find, "event");
  const properties = event.properties && bodyReader(event.properties, find, "event.properties", cellReader);
  return (fields) => {
    const named = name(fields);
    const told = properties?.(fields) ?? NOTHING;
    if ("refusal" in named) return named;
    if ("refusal" in told) return told;
    const body = { name: named.value!, ...(told.value && { properties: told.value }) };
    return { value: { kind: "event", body } as Operation };
  };
}

type MakeReader = (cell: Cell, find: Find, path: string) => Reader<unknown>;

/** Undefined where every cell is left out. */
function bodyReader(
  cells: Readonly<Record<string, Cell>>,
  find: Find,
  path: string,
  make: MakeReader,
): Reader<object> {
  const readers = Object.entries(cells).map(
    ([name, cell]) => [name, make(cell, find, `${path}.${name}`)] as const,
  );
  return (fields) => {
    const body: Record<string, unknown> = {};
    let isEmptyBody = true;
    for (const [name, read] of readers) {
      const part = read(fields);
      if ("refusal" in part) return part;
      if (part.value === undefined) continue;
      body[name] = part.value;
      isEmptyBody = false;
    }
    return isEmptyBody ? NOTHING : { value: body };
  };
}

function cellReader(cell: Cell, find: Find, path: string): Reader<unknown> {
  const { column, value, type, empty = "skip" } = cell;
  if (column === undefined) return () => ({ value });
  const read = find(column, `${path}.column`);
  return (fields) => {
    const raw = read(fields);
    if (isEmpty(raw) && empty !== "refuse") return { value: empty === "keep" ? raw : undefined };
    if (isEmpty(raw)) return refused("invalid_value", column, raw, "must not be empty");
    const converted = convert(raw, type);
    return "problem" in converted ? refused("invalid_value", column, raw, converted.problem) : converted;
  };
}

function amountReader(cell: Cell, find: Find, path: string): Reader<unknown> {
  return cellReader({ ...cell, ...(cell.value === undefined && { type: "number" }) }, find, path);
}

/** The members of a set: one, those of an array, or those between the separators. */
function listReader({ split, type, ...cell }: Cell, find: Find, path: string): Reader<unknown[]> {
  const whole = cellReader(cell, find, path);
  return (fields) => {
    const part = whole(fields);
    if ("refusal" in part || part.value === undefined) return part as Part<unknown[]>;
    const members: unknown[] = [];
    for (const raw of membersOf(part.value, split)) {
      const converted = convert(raw, type);
      if ("problem" in converted)
        return refused("invalid_value", cell.column ?? path, raw, converted.problem);
      members.push(converted.value);
    }
    return { value: members.length === 0 ? undefined : members };
  };
}

function membersOf(value: unknown, split: string | undefined): unknown[] {
  if (Array.isArray(value)) return value;
  if (split === undefined || typeof value !== "string") return [value];
  return value
    .split(split)
    .map((each) => each.trim())
    .filter((each) => each !== "");
}

function refused(code: string, column: string, value: unknown, message: string): { refusal: RowRefusal } {
  return { refusal: refuse(code, column, value, message) };
}
