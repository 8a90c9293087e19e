import type { State } from "./aggregate.ts";

/**
 * Cells by bucket, flat and in rising order of buckets: [bucket, …cell, bucket, …cell, …]. Each cell has `width`
 * entries.
 */

/** The place of a bucket's entry, or of the one before which it belongs. Searches from the end, where news belong. */
export function placeOf(state: State, bucket: number, width: number): number {
  let at = state.length;
  while (at > 0 && (state[at - width - 1] as number) >= bucket) at -= width + 1;
  return at;
}

export function isAt(state: State, place: number, bucket: number): boolean {
  return state[place] === bucket;
}

/** Without the buckets before `first`. */
export function expireBuckets(state: State, first: number, width: number): State | undefined {
  let from = 0;
  while (from < state.length && (state[from] as number) < first) from += width + 1;
  if (from === 0) return state;
  return from === state.length ? undefined : state.slice(from);
}
