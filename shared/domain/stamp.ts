/**
 * Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) packed into one safe integer, as
 * CockroachDB and Kudu do: milliseconds since the epoch times 2048, plus a counter within the millisecond.
 * One number sorts, compares and travels in JSON without loss; the range ends in the year 2109.
 */
const TICKS_PER_MS = 2048;

/** The first stamp of a millisecond. */
export function stampAt(epochMs: number): number {
  return Math.floor(epochMs) * TICKS_PER_MS;
}

/** The millisecond a stamp was read in (or, after a burst, somewhat later than that). */
export function stampTimeMs(stamp: number): number {
  return Math.floor(stamp / TICKS_PER_MS);
}

export type StampClock = {
  /** A stamp greater than every stamp this clock has given before, at least the present moment. */
  next(): number;
  /** How far the stamps are ahead of the wall clock, in milliseconds; 0 when they are not. */
  aheadMs(): number;
};

/**
 * A clock for one publisher. When the wall clock steps back, or more than 2048 stamps are taken in one
 * millisecond, it runs on by itself until the wall clock has caught up.
 */
export function createStampClock(nowMs: () => number): StampClock {
  let last = 0;
  return {
    next() {
      last = Math.max(last + 1, stampAt(nowMs()));
      return last;
    },
    aheadMs: () => Math.max(0, stampTimeMs(last) - nowMs()),
  };
}

/**
 * The total order of all writes of one user: by stamp, then source, then number. Two updates never share all
 * three, so that concurrent writes have one winner, whichever arrives first.
 */
export type WriteOrder = { readonly stamp: number; readonly src: string; readonly seq: number };

/** Negative when `a` comes before `b`, 0 only for the same update. */
export function compareOrder(a: WriteOrder, b: WriteOrder): number {
  if (a.stamp !== b.stamp) return a.stamp - b.stamp;
  if (a.src !== b.src) return a.src < b.src ? -1 : 1;
  return a.seq - b.seq;
}
