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

/**
 * A dense source has gaps while its updates travel on two paths of which one is late: as many as a busy user's late
 * updates. Some 40,000 characters of the profile at most.
 */
const MAX_INTERVALS = 4_096;
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

/** The source with `seq`, which is new to it, seen as well. */
export function addSeen(name: string, source: SeenSource, seq: number, stamp: number): SeenSource {
  const { intervals, lastStamp, blurredTo } = source;
  return bound(name, {
    intervals: insert(intervals, seq),
    lastStamp: Math.max(lastStamp, stamp),
    blurredTo,
  });
}

/** Searches from the end, where new numbers almost always belong. */
function insert(intervals: readonly number[], seq: number): number[] {
  let at = intervals.length;
  while (at > 0 && intervals[at - 2]! > seq) at -= 2;
  const joinsPrevious = at > 0 && intervals[at - 1] === seq - 1;
  const joinsNext = intervals[at] === seq + 1;
  if (joinsPrevious && joinsNext) return intervals.toSpliced(at - 1, 2);
  if (joinsPrevious || joinsNext) {
    // Faster than `with`.
    const longer = intervals.slice();
    longer[joinsPrevious ? at - 1 : at] = seq;
    return longer;
  }
  return intervals.toSpliced(at, 0, seq, seq);
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
