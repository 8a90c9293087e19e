import { addDecimal, type Decimal, decimalToNumber } from "../decimal.ts";
import type { Aggregate, State } from "./aggregate.ts";
import { expireBuckets, isAt, placeOf } from "./buckets.ts";

const NOTHING: State = [];
/** Of a bucket's number, of a count, of an exact sum. */
const BUCKET_LENGTH = 14;
const COUNT_LENGTH = 17;
const SUM_LENGTH = 48;

/** Aggregates whose buckets hold one number each, merged by `merge`. */
function oneNumber(
  rest: Pick<Aggregate, "takes" | "type" | "value">,
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
      return after === before ? state : state.with(at + 1, after);
    },
    expire: (state, first) => expireBuckets(state, first, 1),
    oldest: (state) => state[0] as number,
    ...rest,
  };
}

function foldCells<T>(state: State, width: number, initial: T, merge: (sum: T, at: number) => T): T {
  let result = initial;
  for (let at = 1; at < state.length; at += width + 1) result = merge(result, at);
  return result;
}

function sumAt(state: State, width: number, offset: number): Decimal {
  return foldCells<Decimal>(state, width, 0, (sum, at) => addDecimal(sum, state[at + offset] as Decimal));
}

export const countOf: Aggregate = oneNumber(
  { takes: "nothing", type: "int", value: (state = NOTHING) => sumAt(state, 1, 0) },
  COUNT_LENGTH,
  (before = 0) => (before as number) + 1,
);

export const sumOf: Aggregate = oneNumber(
  { takes: "number", type: "double", value: (state = NOTHING) => decimalToNumber(sumAt(state, 1, 0)) },
  SUM_LENGTH,
  (before = 0, value) => addDecimal(before, value),
);

export function extremeOf(choose: (a: number, b: number) => number): Aggregate {
  return oneNumber(
    {
      takes: "number",
      type: "double",
      value: (state) =>
        state === undefined
          ? undefined
          : foldCells(state, 1, state[1] as number, (best, at) => choose(best, state[at] as number)),
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
    return decimalToNumber(sumAt(state, 2, 0)) / (sumAt(state, 2, 1) as number);
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
