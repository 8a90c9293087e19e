/**
 * Sliding windows in event time, made of buckets of a fixed size that begin at multiples of it since the epoch (stream
 * slicing: Traub et al., "Cutty", 2016; panes: Li et al., 2005). An event counts until its whole bucket has left.
 */
export type Window = {
  lengthMs: number;
  bucketMs: number;
};

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const UNITS: Record<string, number> = { m: MINUTE_MS, h: HOUR_MS, d: DAY_MS, w: 7 * DAY_MS, y: 365 * DAY_MS };
const BUCKETS_MS = [
  SECOND_MS,
  5 * SECOND_MS,
  10 * SECOND_MS,
  30 * SECOND_MS,
  MINUTE_MS,
  5 * MINUTE_MS,
  15 * MINUTE_MS,
  HOUR_MS,
  6 * HOUR_MS,
  DAY_MS,
  7 * DAY_MS,
  30 * DAY_MS,
  90 * DAY_MS,
  365 * DAY_MS,
];
export const MAX_WINDOW_MS = 3_650 * DAY_MS;
/** Of a window; one more may be there, since the first and the last are partly outside. */
export const MAX_BUCKETS = 100;
/** Of a window whose buckets are large. */
export const FEW_BUCKETS = 16;

/** Undefined when it is longer than ten years. `text` is of the schema's form. */
export function parseWindow(text: string, maxBuckets = MAX_BUCKETS): Window | undefined {
  const lengthMs = Number(text.slice(0, -1)) * UNITS[text.at(-1)!]!;
  if (lengthMs > MAX_WINDOW_MS) return undefined;
  const bucketMs = BUCKETS_MS.find((each) => lengthMs / each <= maxBuckets)!;
  return { lengthMs, bucketMs };
}

/** The number of the bucket in which a moment lies; everything lies in one where there is no window. */
export function bucketOf(window: Window | undefined, atMs: number): number {
  return window === undefined ? 0 : Math.floor(atMs / window.bucketMs);
}

/** The first bucket whose events still count. */
export function firstBucket(window: Window | undefined, asOfMs: number): number {
  if (window === undefined) return 0;
  return Math.floor((asOfMs - window.lengthMs) / window.bucketMs);
}

/** The moment at which the events of a bucket count no more. */
export function leavesAtMs({ lengthMs, bucketMs }: Window, bucket: number): number {
  return (bucket + 1) * bucketMs + lengthMs;
}
