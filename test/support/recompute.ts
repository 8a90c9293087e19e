/**
 * What a user's calculated attributes and audiences must be, computed the plain way: from the sorted list of
 * all of the user's updates, at the latest moment they tell of. Written from docs/definitions.md alone, it
 * shares no code with what folds them one by one.
 */
import { Environment } from "@marcbachmann/cel-js";
import type { Update } from "../../shared/domain/envelope.ts";
import { expectedProfile, scaled, unscaled } from "./oracle.ts";

export type AggregateInput = {
  event: string;
  where?: string;
  aggregate: keyof typeof typeOfAggregate;
  of?: string;
  window?: string;
  limit?: number;
};
export type AttributeInput = AggregateInput | { derive: string };
export type AudienceInput = { rule: string };
export type DefinitionsInput = {
  attributes: Record<string, AttributeInput>;
  audiences: Record<string, AudienceInput>;
};

export type Recomputed = {
  /** Undefined when nothing was counted. */
  asOf: number | undefined;
  /** JSON values, and for a `distinct` beyond its exact bound an `Approximate`. */
  attributes: Record<string, unknown>;
  /** Names of those the user is in, sorted. */
  audiences: string[];
  /** What the list of updates can't tell: a rule that fails keeps its last result, and so those that read it. */
  undecided: string[];
  /** Those of the undecided audiences of which the rule itself fails with all of its values there. */
  failing: string[];
};

/** A count of which only the standard error is promised, as a fraction. */
export class Approximate {
  readonly count: number;
  readonly standardError: number;
  constructor(count: number, standardError: number) {
    this.count = count;
    this.standardError = standardError;
  }
}

const typeOfAggregate = {
  ...{ count: "int", sum: "double", min: "double", max: "double", average: "double" },
  ...{ first: "dyn", last: "dyn", distinct: "int", list: "list", set: "list", exists: "bool" },
  days_since: "double",
} as const;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const units: Record<string, number> = { m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY, y: 365 * DAY };
const bucketSizes = [
  ...[SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE],
  ...[HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY],
];
const UNDECIDED = Symbol("undecided");
const FAILS = Symbol("fails");
const NOTHING: Recomputed = { asOf: undefined, attributes: {}, audiences: [], undecided: [], failing: [] };

/**
 * @param delivered updates and ticks in any order, with repeats
 * @param moments epoch ms that have come as well, as if a tick had told so
 */
export function recompute(
  definitions: DefinitionsInput,
  delivered: readonly Update[],
  moments: readonly number[] = [],
): Recomputed {
  const counted = delivered.filter((update) => dueOf(update) === undefined);
  if (counted.length === 0) return { ...NOTHING };
  const ticks = delivered.flatMap((update) => {
    const due = dueOf(update);
    return due === undefined ? [] : [Math.min(due, stampTime(update) + 600_000)];
  });
  const asOf = Math.max(...counted.map(stampTime), ...ticks, ...moments);
  const lookUp = evaluator(definitions, counted, asOf);
  const result: Recomputed = { asOf, attributes: {}, audiences: [], undecided: [], failing: [] };
  for (const name of Object.keys(definitions.attributes)) {
    const value = lookUp(name);
    if (value === UNDECIDED) result.undecided.push(name);
    else if (value !== undefined) result.attributes[name] = toJson(value);
  }
  for (const name of Object.keys(definitions.audiences).sort()) {
    const member = lookUp(name);
    if (member === true) result.audiences.push(name);
    if (member === UNDECIDED || member === FAILS) result.undecided.push(name);
    if (member === FAILS) result.failing.push(name);
  }
  return result;
}

/**
 * The value of any name that an expression may read, as a CEL value: undefined when it has none, a boolean
 * for an audience.
 */
function evaluator(definitions: DefinitionsInput, counted: Update[], asOf: number) {
  const ownAttributes = new Map(Object.entries(expectedProfile(counted).attributes));
  const events = eventsOf(counted);
  const known = new Map<string, unknown>();

  function lookUp(name: string): unknown {
    if (!known.has(name)) known.set(name, compute(name));
    return known.get(name);
  }

  function compute(name: string): unknown {
    const definition = definitionOf(definitions, name);
    if (!definition) return toCel(ownAttributes.get(name) ?? undefined);
    if ("rule" in definition) return isMember(definition.rule);
    if ("derive" in definition) return derive(definition.derive);
    return aggregate(definition, events, asOf);
  }

  function derive(expression: string): unknown {
    const { outcome } = evaluate(expression);
    if (outcome === null || outcome instanceof Error) return undefined;
    if (typeof outcome !== "number") return outcome;
    return Number.isFinite(outcome) ? outcome + 0 : undefined; // JSON has no -0
  }

  function isMember(rule: string): boolean | symbol {
    const { outcome, missing } = evaluate(rule);
    if (typeof outcome === "boolean") return outcome;
    if (outcome === UNDECIDED) return UNDECIDED;
    return missing ? false : FAILS;
  }

  function evaluate(expression: string): { outcome: unknown; missing: boolean } {
    const { names, afterIn } = readsOf(expression);
    const read = names.map((name) => [name, name === "now" ? new Date(asOf) : lookUp(name)] as const);
    if (read.some(([, value]) => typeof value === "symbol" || value instanceof Approximate))
      return { outcome: UNDECIDED, missing: false };
    const missing = read.some(([, value]) => value === undefined);
    const absent = (name: string) => (afterIn.has(name) ? [] : standIn(typeOf(definitions, name)));
    const context = Object.fromEntries(read.map(([name, value]) => [name, value ?? absent(name)]));
    return { outcome: run(expression, context), missing };
  }

  return lookUp;
}

/** The CEL type of a name, found by checking what it is derived from. Throws when an expression is invalid. */
export function typeOf(definitions: DefinitionsInput, name: string): string {
  if (name === "now") return "google.protobuf.Timestamp";
  const definition = definitionOf(definitions, name);
  if (!definition) return "dyn";
  if ("aggregate" in definition) return typeOfAggregate[definition.aggregate];
  const expression = "rule" in definition ? definition.rule : definition.derive;
  const environment = new Environment();
  for (const read of readsOf(expression).names) environment.registerVariable(read, typeOf(definitions, read));
  const { valid, type, error } = environment.check(expression);
  if (!valid) throw new Error(`${name}: ${expression}`, { cause: error });
  return String(type);
}

/** Audiences are looked up only after attributes; they share one set of names. */
function definitionOf({ attributes, audiences }: DefinitionsInput, name: string) {
  if (Object.hasOwn(attributes, name)) return attributes[name];
  return Object.hasOwn(audiences, name) ? audiences[name] : undefined;
}

type Happened = { name: string; t: number; stamp: number; properties: Record<string, unknown> };
/** An event that matches, with the property that is aggregated and its JSON text. */
type Matching = { t: number; stamp: number; value: unknown; text: string };

function eventsOf(counted: readonly Update[]): Happened[] {
  const distinct = new Map(counted.map((update) => [`${update.src} ${update.seq}`, update])).values();
  return [...distinct].flatMap((update) =>
    update.ops.flatMap(({ kind, body }) => {
      if (kind !== "event") return [];
      const t = Math.min(update.at, stampTime(update));
      return [{ name: body.name, t, stamp: update.stamp, properties: body.properties ?? {} }];
    }),
  );
}

function aggregate(definition: AggregateInput, events: readonly Happened[], asOf: number): unknown {
  const matching = events
    .filter((event) => event.name === definition.event && holds(definition.where, event.properties))
    .flatMap((event) => matchingOf(definition, event))
    .filter(({ t }) => countsUntil(definition, t) > asOf)
    .sort((a, b) => a.t - b.t || a.stamp - b.stamp || byText(a.text, b.text));
  const values = matching.map(({ value }) => value);
  const texts = matching.map(({ text }) => text);
  const some = matching.length > 0;
  const limit = definition.limit ?? 10;
  switch (definition.aggregate) {
    case "count":
      return BigInt(matching.length);
    case "sum":
      return exactSum(values as number[]);
    case "min":
      return some ? Math.min(...(values as number[])) : undefined;
    case "max":
      return some ? Math.max(...(values as number[])) : undefined;
    case "average":
      return some ? exactSum(values as number[]) / values.length : undefined;
    case "first":
      return toCel(values[0]);
    case "last":
      return toCel(values.at(-1));
    case "distinct":
      return distinctCount(definition, matching);
    case "list":
      return toCel(values.slice(-limit));
    case "set":
      return toCel(lastDifferent(texts, limit).map((text) => JSON.parse(text)));
    case "exists":
      return some;
    case "days_since":
      return some ? Math.floor((asOf - matching.at(-1)!.t) / DAY) : undefined;
  }
}

function holds(where: string | undefined, properties: Record<string, unknown>): boolean {
  return where === undefined || run(where, { event: toCel(properties) }) === true;
}

function matchingOf({ aggregate, of }: AggregateInput, { t, stamp, properties }: Happened): Matching[] {
  if (of === undefined) return [{ t, stamp, value: undefined, text: "" }];
  const value = Object.hasOwn(properties, of) ? properties[of] : undefined;
  if (value === undefined || value === null) return [];
  if (/^(sum|min|max|average)$/.test(aggregate) && !isAmount(value)) return [];
  const text = JSON.stringify(value);
  if (/^(first|last|list|set)$/.test(aggregate) && text.length > 256) return [];
  return [{ t, stamp, value, text }];
}

function isAmount(value: unknown): boolean {
  if (typeof value !== "number") return false;
  const size = Math.abs(value);
  return size === 0 || (size >= 1e-12 && size <= 1e15);
}

/** The moment at which an event of `t` counts no more. */
export function countsUntil({ window, aggregate }: AggregateInput, t: number): number {
  if (window === undefined) return Number.POSITIVE_INFINITY;
  const windowMs = windowMsOf(window);
  const bucketMs = bucketMsOf(windowMs, aggregate);
  return (Math.floor(t / bucketMs) + 1) * bucketMs + windowMs;
}

export function windowMsOf(window: string): number {
  return Number(window.slice(0, -1)) * units[window.slice(-1)]!;
}

export function bucketMsOf(windowMs: number, aggregate: string): number {
  const most = aggregate === "distinct" ? 16 : 100;
  return bucketSizes.find((size) => windowMs / size <= most) ?? bucketSizes.at(-1)!;
}

function distinctCount(definition: AggregateInput, matching: readonly Matching[]): bigint | Approximate {
  const different = (list: readonly Matching[]) => new Set(list.map(({ text }) => text)).size;
  const count = different(matching);
  const buckets = Map.groupBy(matching, ({ t }) => countsUntil(definition, t)).values();
  const windowed = definition.window !== undefined;
  const exact = [...buckets].every((bucket) => different(bucket) <= (windowed ? 64 : 256));
  return exact ? BigInt(count) : new Approximate(count, windowed ? 0.18 : 0.09);
}

function lastDifferent(texts: readonly string[], limit: number): string[] {
  return [...new Set(texts.toReversed())].slice(0, limit).sort(byText);
}

function exactSum(values: readonly number[]): number {
  return unscaled(values.reduce((sum, value) => sum + scaled(value), 0n));
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function dueOf({ ops }: Update): number | undefined {
  const [op] = ops;
  return op?.kind === "tick" ? op.body.due : undefined;
}

/** As in shared/domain/stamp.ts: the milliseconds times 2048, plus a counter. */
function stampTime({ stamp }: Update): number {
  return Math.floor(stamp / 2048);
}

const untyped = new Environment({ unlistedVariablesAreDyn: true });
const parsed = new Map<string, ReturnType<typeof untyped.parse>>();

function parse(expression: string) {
  const program = parsed.get(expression) ?? untyped.parse(expression);
  parsed.set(expression, program);
  return program;
}

/** The result, or the error. Types are those of the values alone: a missing number is no int, but NaN. */
function run(expression: string, context: Record<string, unknown>): unknown {
  try {
    return parse(expression)(context) as unknown;
  } catch (error) {
    return error as Error;
  }
}

const typeNames = new Set(
  "bool bytes double duration dyn int list map null_type string timestamp type uint".split(" "),
);
const macros = new Set(["all", "exists", "exists_one", "filter", "map"]);
type Node = { op: string; args: unknown };

/** The names that an expression reads, and those of them that stand on the right side of `in`. */
export function readsOf(expression: string): { names: string[]; afterIn: Set<string> } {
  const names = new Set<string>();
  const afterIn = new Set<string>();
  const visit = (node: unknown, bound: readonly unknown[]): void => {
    if (Array.isArray(node)) for (const part of node) visit(part, bound);
    if (typeof node !== "object" || node === null || !("op" in node)) return;
    const { op, args } = node as Node;
    if (op === "id" && !bound.includes(args) && !typeNames.has(String(args))) names.add(String(args));
    if (op === "in" && (args as Node[])[1]?.op === "id") afterIn.add(String((args as Node[])[1]?.args));
    const [called, list, inner] = op === "rcall" ? (args as [string, Node, Node[]]) : [];
    if (called !== undefined && macros.has(called)) {
      visit(list, bound);
      visit(inner, [...bound, inner?.[0]?.args]);
    } else visit(args, bound);
  };
  visit(parse(expression).ast, []);
  return { names: [...names], afterIn };
}

/** A JSON value as CEL sees it. Of maps, CEL must not see the members that every JavaScript object has. */
function toCel(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toCel);
  if (typeof value !== "object" || value === null) return value;
  return new Map(Object.entries(value).map(([key, member]) => [key, toCel(member)]));
}

function toJson(value: unknown): unknown {
  if (value instanceof Approximate) return value;
  const plain = (_: string, part: unknown) => {
    if (typeof part === "bigint") return Number(part);
    return part instanceof Map ? Object.fromEntries(part) : part;
  };
  return JSON.parse(JSON.stringify(value, plain)) as unknown;
}

/** What stands for a value that is not there: nothing at all for types of which CEL has no such value. */
function standIn(type: string): unknown {
  if (type === "double") return Number.NaN;
  return /^(int|bool|string)$/.test(type) ? undefined : null;
}
