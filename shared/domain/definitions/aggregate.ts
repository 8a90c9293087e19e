import { averageOf, countOf, existsOf, extremeOf, sumOf } from "./aggregate-numbers.ts";
import { daysSince, firstOf, lastOf, listOf, setOf } from "./aggregate-values.ts";
import type { AggregateName } from "./definition.ts";
import { distinctOf } from "./distinct.ts";
import type { Window } from "./window.ts";

/** A JSON value: what of a user's events an attribute remembers. Immutable. */
export type State = readonly unknown[];

/** One event that matches. */
export type Occurrence = {
  /** When it happened, milliseconds since the epoch. */
  t: number;
  stamp: number;
  bucket: number;
  /** Of the property; undefined where the aggregate takes none. */
  value: unknown;
  /** The value as JSON. */
  json: string;
};

/**
 * How an aggregate remembers and answers. All of it is commutative: any order of the same occurrences gives the same
 * state.
 */
export type Aggregate = {
  /** Whether it aggregates a property, and of what kind; of `value` it keeps the text, of `any` it does not. */
  takes: "nothing" | "number" | "value" | "any";
  windowed: boolean;
  /** The type of its value in CEL. */
  type: "int" | "double" | "bool" | "list" | "dyn";
  /** Longest state as JSON, in characters, with `buckets` of them. */
  maxLength(buckets: number, limit: number): number;
  /** The state with one more; the same one where nothing changes. */
  add(state: State | undefined, occurrence: Occurrence, limit: number): State;
  /** The state without what lies before a bucket; the same one where nothing changes, undefined when nothing is left. */
  expire(state: State, first: number, window: Window): State | undefined;
  /** The first bucket that holds something. */
  oldest(state: State, window: Window): number;
  /**
   * The first bucket whose leaving takes the value onto or over one of these rising numbers, or leaves nothing: then at
   * the latest a rule that came meanwhile is looked at. Absent where this can't be told, and `oldest` is to be gone by.
   */
  crossing?(state: State, thresholds: Float64Array): number;
  /**
   * The value as JSON has it, undefined for none. `days_since` alone asks for the moment.
   */
  value(state: State | undefined, asOfMs: number): unknown;
  /** The value's JSON, where the state has it as text already. */
  json?(state: State): string;
};

export const aggregates: Record<AggregateName, Aggregate> = {
  count: countOf,
  sum: sumOf,
  min: extremeOf(Math.min),
  max: extremeOf(Math.max),
  average: averageOf,
  first: firstOf,
  last: lastOf,
  distinct: distinctOf,
  list: listOf,
  set: setOf,
  exists: existsOf,
  days_since: daysSince,
};
