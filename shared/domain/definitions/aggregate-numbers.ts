import { addDecimal, type Decimal, decimalToNumber } from "../decimal.ts";
import type { Aggregate, State } from "./aggregate.ts";
import { expireBuckets, isAt, placeOf } from "./buckets.ts";
import { isBetween } from "./thresholds.ts";

const NOTHING: State = [];
/** Of a bucket's number, of a count, of an exact sum. */
const BUCKET_LENGTH = 14;
const COUNT_LENGTH = 17;
const SUM_LENGTH = 48;

/** Aggregates whose buckets hold one number each, merged by `merge`. */
function oneNumber(
  rest: Pick<Aggregate, "takes" | "type" | "value" | "crossing">,
  cellLength: number,
  merge: (before: Decimal | undefined, value: number) => Decimal,
): Aggregate {
  return {
    windowed: true,
    maxLength: (buckets) => buckets * (BUCKET_LENGTH + cellLength),
    add(state = NOTHING, { bucket, value }) {
      const at = placeOf(state, bucket, 1);
      if (!isAt(state, at, bucket)) return state.toSpliced(at, 0, bucket, merge(undefined, value as number));
      const before = state[at + 1] as Decimal;
      const after = merge(before, value as number);
      if (after === before) return state;
      // Faster than `with`.
      const next = state.slice();
      next[at + 1] = after;
      return next;
    },
    expire: (state, first) => expireBuckets(state, first, 1),
    oldest: (state) => state[0] as number,
    ...rest,
  };
}

/** Of one entry of each bucket. */
function sumAt(state: State, width: number, offset: number): Decimal {
  let sum: Decimal = 0;
  for (let at = 1 + offset; at < state.length; at += width + 1) sum = addDecimal(sum, state[at] as Decimal);
  return sum;
}

function countAt(state: State, width: number, offset: number): number {
  let count = 0;
  for (let at = 1 + offset; at < state.length; at += width + 1) count += state[at] as number;
  return count;
}

/** The value is the sum of the buckets' numbers: they leave in their order, so that what is left is the sum of the last. */
function crossing(state: State, thresholds: Float64Array): number {
  let bucket = state.at(-2) as number;
  let left: Decimal = 0;
  for (let at = state.length - 2; at >= 0; at -= 2) {
    const before = addDecimal(left, state[at + 1] as Decimal);
    if (isBetween(thresholds, decimalToNumber(left), decimalToNumber(before))) bucket = state[at] as number;
    left = before;
  }
  return bucket;
}

function chosenAmong(state: State, choose: (a: number, b: number) => number): number {
  let chosen = state[1] as number;
  for (let at = 3; at < state.length; at += 2) chosen = choose(chosen, state[at] as number);
  return chosen;
}

export const countOf: Aggregate = oneNumber(
  { takes: "nothing", type: "int", value: (state = NOTHING) => countAt(state, 1, 0), crossing },
  COUNT_LENGTH,
  (before = 0) => (before as number) + 1,
);

export const sumOf: Aggregate = oneNumber(
  {
    takes: "number",
    type: "double",
    value: (state = NOTHING) => decimalToNumber(sumAt(state, 1, 0)),
    crossing,
  },
  SUM_LENGTH,
  (before = 0, value) => addDecimal(before, value),
);

export function extremeOf(choose: (a: number, b: number) => number): Aggregate {
  return oneNumber(
    {
      takes: "number",
      type: "double",
      value: (state) => (state === undefined ? undefined : chosenAmong(state, choose)),
    },
    COUNT_LENGTH + 8,
    // Math.min tells 0 from -0, JSON does not.
    (before, value) => (before === undefined ? value : choose(before as number, value)) + 0,
  );
}

/** Each bucket: sum, count. */
export const averageOf: Aggregate = {
  takes: "number",
  type: "double",
  windowed: true,
  maxLength: (buckets) => buckets * (BUCKET_LENGTH + SUM_LENGTH + COUNT_LENGTH),
  add(state = NOTHING, { bucket, value }) {
    const at = placeOf(state, bucket, 2);
    if (!isAt(state, at, bucket)) return state.toSpliced(at, 0, bucket, addDecimal(0, value as number), 1);
    const next = [...state];
    next[at + 1] = addDecimal(state[at + 1] as Decimal, value as number);
    next[at + 2] = (state[at + 2] as number) + 1;
    return next;
  },
  expire: (state, first) => expireBuckets(state, first, 2),
  oldest: (state) => state[0] as number,
  value(state) {
    if (state === undefined) return undefined;
    return decimalToNumber(sumAt(state, 2, 0)) / countAt(state, 2, 1);
  },
};

/** The last bucket with an event: it is the last to leave. */
export const existsOf: Aggregate = {
  takes: "nothing",
  type: "bool",
  windowed: true,
  maxLength: () => BUCKET_LENGTH,
  add: (state, { bucket }) => (state !== undefined && (state[0] as number) >= bucket ? state : [bucket]),
  expire: (state, first) => ((state[0] as number) < first ? undefined : state),
  oldest: (state) => state[0] as number,
  value: (state) => state !== undefined,
};
