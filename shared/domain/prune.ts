import type { Profile } from "./profile.ts";
import { stampAt, type WriteOrder } from "./stamp.ts";

/** What bounds the memory of a profile. */
export type RetentionLimits = {
  /**
   * The longest time between the stamp of an update and its last delivery, over any path, in milliseconds.
   * What is older is forgotten, and an update that old is refused instead of guessed at.
   */
  horizonMs: number;
  /** Sources kept; beyond it those not heard from for 15 minutes are forgotten before their time, oldest first. */
  maxSources: number;
  /** Callers' ids remembered at most. */
  maxIds: number;
  /** How long a caller's id is remembered, in milliseconds. */
  idMemoryMs: number;
};

const PRUNE_EVERY_MS = 86_400_000;
/** A source heard from since then may still have updates on a slower path; it is kept beyond the bound. */
const SETTLED_AFTER_MS = 900_000;

/**
 * Forgets sources and tombstones that no delivery can concern any more, and raises the mark over them. The
 * mark turns whatever comes from before it into `too_old_to_tell`, so forgetting can't make an update count
 * twice or bring a removed value back. Looks at most once a day per profile unless a bound is passed.
 */
export function prune(profile: Profile, limits: RetentionLimits, nowMs: number): Profile {
  const due = nowMs - profile.prunedAtMs >= PRUNE_EVERY_MS;
  if (!due && profile.seen.size <= limits.maxSources) return profile;
  if (profile.updates === 0) return { ...profile, prunedAtMs: nowMs };
  const cut = stampAt(nowMs - limits.horizonMs);
  let mark = profile.mark;
  const forget = (stamp: number): boolean => {
    if (stamp >= cut) return false;
    mark = Math.max(mark, stamp);
    return true;
  };
  const keepCell = (cell: { order: WriteOrder }, dead: boolean) => !(dead && forget(cell.order.stamp));
  const registers = filterMap(profile.registers, (cell) => keepCell(cell, cell.value === undefined));
  const sets = mapValues(profile.sets, (set) => filterMap(set, (cell) => keepCell(cell, !cell.present)));
  const young = [...profile.seen].filter(([, source]) => !forget(source.lastStamp));
  young.sort(([, a], [, b]) => a.lastStamp - b.lastStamp);
  const settledBefore = stampAt(nowMs - SETTLED_AFTER_MS);
  const settled = young.filter(([, source]) => source.lastStamp < settledBefore).length;
  const surplus = young.splice(0, Math.min(settled, Math.max(0, young.length - limits.maxSources)));
  for (const [, source] of surplus) mark = Math.max(mark, source.lastStamp);
  const emptied = filterMap(sets, (set) => set.size > 0);
  return { ...profile, registers, sets: emptied, seen: new Map(young), mark, prunedAtMs: nowMs };
}

function filterMap<V>(map: ReadonlyMap<string, V>, keep: (value: V) => boolean): Map<string, V> {
  return new Map([...map].filter(([, value]) => keep(value)));
}

function mapValues<V, W>(map: ReadonlyMap<string, V>, to: (value: V) => W): Map<string, W> {
  return new Map([...map].map(([key, value]) => [key, to(value)]));
}
