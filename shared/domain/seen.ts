import { isLedgerSource } from "./ledger-source.ts";

/**
 * What one user has seen of one source: the numbers, as disjoint intervals in rising order, flattened to
 * [from, to, from, to, …]. Almost always one interval.
 */
export type SeenSource = {
  readonly intervals: readonly number[];
  /** The greatest stamp seen from this source. */
  readonly lastStamp: number;
  /** Numbers up to this were closed up to bound the intervals: one of them that comes may be new or not. */
  readonly blurredTo: number;
};

export type Sighting = "new" | "seen" | "unknown";

/** Dense sources rarely have a gap at all. */
const MAX_INTERVALS = 64;
/** Places in the ledger are never dense, and come in order but for a short stretch. */
const MAX_LEDGER_INTERVALS = 8;

export const UNSEEN: SeenSource = { intervals: [], lastStamp: 0, blurredTo: 0 };

/** Was this number seen? `unknown` when it lies where intervals were closed up. */
export function sight(source: SeenSource, seq: number): Sighting {
  const { intervals } = source;
  for (let i = intervals.length - 2; i >= 0; i -= 2) {
    if (seq > intervals[i + 1]!) return "new";
    if (seq >= intervals[i]!) return seq <= source.blurredTo ? "unknown" : "seen";
  }
  return "new";
}

/** The source with `seq` seen as well. */
export function addSeen(name: string, source: SeenSource, seq: number, stamp: number): SeenSource {
  const { intervals } = source;
  const lastStamp = Math.max(source.lastStamp, stamp);
  const end = intervals.length - 1;
  if (end > 0 && seq === intervals[end]! + 1)
    return { intervals: intervals.with(end, seq), lastStamp, blurredTo: source.blurredTo };
  return bound(name, { intervals: insert(intervals, seq), lastStamp, blurredTo: source.blurredTo });
}

function insert(intervals: readonly number[], seq: number): number[] {
  let at = 0;
  while (at < intervals.length && intervals[at + 1]! < seq - 1) at += 2;
  if (at === intervals.length) return [...intervals, seq, seq];
  const [from, to] = [intervals[at]!, intervals[at + 1]!];
  if (seq < from - 1) return intervals.toSpliced(at, 0, seq, seq);
  if (seq === from - 1) return intervals.with(at, seq);
  if (seq <= to) return [...intervals];
  const joinsNext = intervals[at + 2] === seq + 1;
  return joinsNext ? intervals.toSpliced(at + 1, 2) : intervals.with(at + 1, seq);
}

/**
 * Closes the lowest gap when there are too many intervals. In a ledger source the numbers in a gap belong to
 * other users and the messages came in order, so they count as seen; in a dense source one that was never
 * delivered may still come, and then can't be told from a repeat.
 */
function bound(name: string, source: SeenSource): SeenSource {
  const ledger = isLedgerSource(name);
  const max = ledger ? MAX_LEDGER_INTERVALS : MAX_INTERVALS;
  if (source.intervals.length <= 2 * max) return source;
  const closedTo = source.intervals[2]! - 1;
  return { ...source, intervals: source.intervals.toSpliced(1, 2), blurredTo: ledger ? 0 : closedTo };
}
