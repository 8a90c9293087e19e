/** What is known of the events behind an attribute, from what its state keeps. */
import type { State } from "./definitions/aggregate.ts";
import type { AggregateName } from "./definitions/definition.ts";
import type { EventRule } from "./definitions/event-rule.ts";
import { leavesAtMs } from "./definitions/window.ts";
import type { Profile } from "./profile.ts";

export type EventsBehind = {
  event: string;
  /** How many are counted in the value. Absent, as the next two, where the state does not say. */
  count?: number;
  /**
   * The first and the last of them that the state tells of, milliseconds since the epoch; with buckets the beginning
   * of the first and the end of the last one.
   */
  firstAtMs?: number;
  lastAtMs?: number;
  /** How long a bucket of the window is: so exact are the moments; null for exact ones. */
  bucketMs: number | null;
  /** When the oldest of them leaves the window; null without one. */
  oldestLeavesAtMs: number | null;
  /** All events of the name that the user had, of any condition and window. */
  ofThisName: { count: number; firstAtMs: number; lastAtMs: number } | null;
};

type Moments = Pick<EventsBehind, "count" | "firstAtMs" | "lastAtMs">;

/** Of a flat state's cells, [t, stamp, JSON, …]. */
const ENTRY_WIDTH = 3;

export function eventsBehind(
  name: { event: string; aggregate: AggregateName },
  { aggregate, window }: EventRule,
  state: State | undefined,
  { events }: Profile,
): EventsBehind {
  const all = events.get(name.event);
  const ofThisName = all ? { count: all.count, firstAtMs: all.firstAt, lastAtMs: all.lastAt } : null;
  const bucketMs = window?.bucketMs ?? null;
  const common = { event: name.event, bucketMs, ofThisName };
  if (state === undefined) return { ...common, count: 0, oldestLeavesAtMs: null };
  return {
    ...common,
    ...(momentsOf(name.aggregate, state) ?? bucketsOf(name.aggregate, state, bucketMs)),
    bucketMs: momentsOf(name.aggregate, state) ? null : bucketMs,
    oldestLeavesAtMs: window ? leavesAtMs(window, aggregate.oldest(state, window)) : null,
  };
}

/** Of aggregates that keep exact moments. */
function momentsOf(aggregate: AggregateName, state: State): Moments | undefined {
  const at = (index: number) => state.at(index) as number;
  switch (aggregate) {
    case "list":
      return { count: state.length / ENTRY_WIDTH, firstAtMs: at(0), lastAtMs: at(-ENTRY_WIDTH) };
    case "set":
      // Of each value the last event: how many there were is not kept.
      return { firstAtMs: at(0), lastAtMs: at(-ENTRY_WIDTH) };
    case "first":
      return { firstAtMs: at(1) };
    case "last":
    case "days_since":
      return { lastAtMs: at(0) };
    default:
      return undefined;
  }
}

/** Of aggregates that keep a cell for each bucket. */
function bucketsOf(aggregate: AggregateName, state: State, bucketMs: number | null): Moments {
  const count = countIn(aggregate, state);
  if (bucketMs === null) return count;
  const buckets = bucketNumbers(aggregate, state);
  const lastAtMs = (buckets.at(-1)! + 1) * bucketMs;
  // `exists` keeps the last one only.
  return aggregate === "exists" ? { lastAtMs } : { ...count, firstAtMs: buckets[0]! * bucketMs, lastAtMs };
}

function bucketNumbers(aggregate: AggregateName, state: State): number[] {
  if (aggregate === "distinct") return state.map((bucket) => (bucket as number[])[0]!);
  const width = widthOf(aggregate);
  return state.filter((_, index) => index % width === 0) as number[];
}

function widthOf(aggregate: AggregateName): number {
  if (aggregate === "average") return 3;
  return aggregate === "exists" ? 1 : 2;
}

function countIn(aggregate: AggregateName, state: State): Pick<Moments, "count"> {
  if (aggregate !== "count" && aggregate !== "average") return {};
  const width = widthOf(aggregate);
  let count = 0;
  for (let at = width - 1; at < state.length; at += width) count += state[at] as number;
  return { count };
}
