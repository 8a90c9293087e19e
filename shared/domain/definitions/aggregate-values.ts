import type { Aggregate, Occurrence, State } from "./aggregate.ts";
import { expireBuckets, isAt, placeOf } from "./buckets.ts";
import { bucketOf, DAY_MS } from "./window.ts";

/** Longest JSON text of a value that is kept. */
export const MAX_VALUE_LENGTH = 256;
/** Of a value with its moment and stamp. */
const ENTRY_LENGTH = 2 * MAX_VALUE_LENGTH + 40;
const NOTHING: State = [];

/** Values with their order, flat: [t, stamp, JSON, …]. */
const WIDTH = 3;

/** By moment, then stamp, then the value's text: negative when the entry at `at` comes before the occurrence. */
function compareAt(state: State, at: number, { t, stamp, json }: Occurrence): number {
  if (state[at] !== t) return (state[at] as number) - t;
  if (state[at + 1] !== stamp) return (state[at + 1] as number) - stamp;
  const text = state[at + 2] as string;
  if (text === json) return 0;
  return text < json ? -1 : 1;
}

function entryOf({ t, stamp, json }: Occurrence): State {
  return [t, stamp, json];
}

function parse(json: unknown): unknown {
  return JSON.parse(json as string);
}

/** Where an occurrence belongs among entries in rising order. */
function orderedPlace(state: State, occurrence: Occurrence): number {
  let at = state.length;
  while (at > 0 && compareAt(state, at - WIDTH, occurrence) > 0) at -= WIDTH;
  return at;
}

const ordered: Pick<Aggregate, "takes" | "windowed" | "expire" | "oldest"> = {
  takes: "value",
  windowed: true,
  expire(state, first, window) {
    let from = 0;
    while (from < state.length && bucketOf(window, state[from] as number) < first) from += WIDTH;
    if (from === 0) return state;
    return from === state.length ? undefined : state.slice(from);
  },
  oldest: (state, window) => bucketOf(window, state[0] as number),
};

/** The last one is the last to leave, so no other is needed. */
export const lastOf: Aggregate = {
  ...ordered,
  type: "dyn",
  maxLength: () => ENTRY_LENGTH,
  add: (state, occurrence) =>
    state !== undefined && compareAt(state, 0, occurrence) >= 0 ? state : entryOf(occurrence),
  value: (state) => (state === undefined ? undefined : parse(state[2])),
};

/** The first one of each bucket: [bucket, t, stamp, JSON, …]. */
export const firstOf: Aggregate = {
  takes: "value",
  windowed: true,
  type: "dyn",
  maxLength: (buckets) => buckets * (ENTRY_LENGTH + 14),
  add(state = NOTHING, occurrence) {
    const at = placeOf(state, occurrence.bucket, WIDTH);
    if (!isAt(state, at, occurrence.bucket))
      return state.toSpliced(at, 0, occurrence.bucket, ...entryOf(occurrence));
    return compareAt(state, at + 1, occurrence) <= 0
      ? state
      : state.toSpliced(at + 1, WIDTH, ...entryOf(occurrence));
  },
  expire: (state, first) => expireBuckets(state, first, WIDTH),
  oldest: (state) => state[0] as number,
  value: (state) => (state === undefined ? undefined : parse(state[3])),
};

export const listOf: Aggregate = {
  ...ordered,
  type: "list",
  maxLength: (_, limit) => limit * ENTRY_LENGTH,
  add(state = NOTHING, occurrence, limit) {
    const at = orderedPlace(state, occurrence);
    if (at === 0 && state.length === limit * WIDTH) return state;
    const next = state.toSpliced(at, 0, ...entryOf(occurrence));
    return next.length > limit * WIDTH ? next.slice(WIDTH) : next;
  },
  value(state = NOTHING) {
    const values: unknown[] = [];
    for (let at = 2; at < state.length; at += WIDTH) values.push(parse(state[at]));
    return values;
  },
};

/** Each value once, with the last time that it came. */
export const setOf: Aggregate = {
  ...ordered,
  type: "list",
  maxLength: (_, limit) => limit * ENTRY_LENGTH,
  add(state = NOTHING, occurrence, limit) {
    let known = state.indexOf(occurrence.json, 2);
    while (known > 0 && known % WIDTH !== 2) known = state.indexOf(occurrence.json, known + 1);
    if (known > 0 && compareAt(state, known - 2, occurrence) >= 0) return state;
    const others = known > 0 ? state.toSpliced(known - 2, WIDTH) : state;
    const at = orderedPlace(others, occurrence);
    if (at === 0 && others.length === limit * WIDTH) return state;
    const next = others.toSpliced(at, 0, ...entryOf(occurrence));
    return next.length > limit * WIDTH ? next.slice(WIDTH) : next;
  },
  value(state = NOTHING) {
    const texts: string[] = [];
    for (let at = 2; at < state.length; at += WIDTH) texts.push(state[at] as string);
    return texts.sort().map(parse);
  },
};

/** The moment of the last event. */
export const daysSince: Aggregate = {
  takes: "nothing",
  windowed: false,
  type: "double",
  maxLength: () => 20,
  add: (state, { t }) => (state !== undefined && (state[0] as number) >= t ? state : [t]),
  expire: (state) => state,
  oldest: () => 0,
  value: (state, asOfMs) =>
    state === undefined ? undefined : Math.floor((asOfMs - (state[0] as number)) / DAY_MS),
};
