import type { Decimal } from "./decimal.ts";
import { attributeJson, type EventCount, type Profile, type Register, type SetMember } from "./profile.ts";
import type { SeenSource } from "./seen.ts";
import type { WriteOrder } from "./stamp.ts";

/** The last update that was counted, as readers see it. Says when it arrived, so it is no part of the fold. */
export type LastUpdate = {
  id: string;
  /** When it happened, milliseconds since the epoch. */
  at: number;
  path: string;
  /** When it was applied, and how long after its stamp, in milliseconds. */
  appliedAtMs: number;
  lagMs: number;
};

/**
 * All of a profile as one JSON text. Cells lie flat, one after the other without names: sources by index, stamps as
 * steps back from the last one.
 */
const FORMAT = 2;

type Flat = (string | number)[];
type Machinery = [
  format: typeof FORMAT,
  /** updates, lastStamp, mark, prunedAtMs */
  counts: [number, number, number, number],
  /** id, at, path, appliedAtMs, lagMs */
  lastUpdate: [string, number, string, number, number],
  sources: string[],
  /** name, stamps back, source, seq, value */
  registers: unknown[],
  /** name, stamps back, source, seq */
  unset: Flat,
  /** name, sum */
  counters: (string | Decimal)[],
  /** Of each set its name; then member, present, stamps back, source, seq */
  sets: Flat[],
  /** name, count, firstAt, lastAt */
  events: Flat,
  seen: [source: number, back: number, blurredTo: number, ...intervals: number[]][],
  /** id, countedAtMs */
  ids: Flat,
];

/** The text that the store keeps. Plain loops: this and its reverse are the dearest functions of the service. */
export function encodeProfile(profile: Profile, lastUpdate: LastUpdate): string {
  const { lastStamp } = profile;
  const sources: string[] = [];
  const index = (src: string): number => {
    const known = sources.indexOf(src);
    return known >= 0 ? known : sources.push(src) - 1;
  };
  const registers: Machinery[4] = [];
  const unset: Machinery[5] = [];
  profile.registers.forEach(({ value, order: { stamp, src, seq } }, name) => {
    if (value === undefined) unset.push(name, lastStamp - stamp, index(src), seq);
    else registers.push(name, lastStamp - stamp, index(src), seq, value);
  });
  const counters: Machinery[6] = [];
  profile.counters.forEach((sum, name) => {
    counters.push(name, sum);
  });
  const sets: Machinery[7] = [];
  profile.sets.forEach((members, name) => {
    const set: Flat = [name];
    members.forEach(({ present, order: { stamp, src, seq } }, member) => {
      set.push(member, present ? 1 : 0, lastStamp - stamp, index(src), seq);
    });
    sets.push(set);
  });
  const events: Machinery[8] = [];
  profile.events.forEach(({ count, firstAt, lastAt }, name) => {
    events.push(name, count, firstAt, lastAt);
  });
  const seen: Machinery[9] = [];
  profile.seen.forEach((source, src) => {
    seen.push([index(src), lastStamp - source.lastStamp, source.blurredTo, ...source.intervals]);
  });
  const ids: Machinery[10] = [];
  profile.ids.forEach((countedAtMs, id) => {
    ids.push(id, countedAtMs);
  });
  const { id, at, path, appliedAtMs, lagMs } = lastUpdate;
  const machinery: Machinery = [
    FORMAT,
    [profile.updates, lastStamp, profile.mark, profile.prunedAtMs],
    [id, at, path, appliedAtMs, lagMs],
    sources,
    registers,
    unset,
    counters,
    sets,
    events,
    seen,
    ids,
  ];
  return JSON.stringify(machinery);
}

/** The reverse. Throws on a text of another format, which another build wrote. */
export function decodeProfile(text: string): { profile: Profile; lastUpdate: LastUpdate } {
  const machinery = JSON.parse(text) as Machinery;
  if (machinery[0] !== FORMAT) throw new Error(`profile format ${machinery[0]}: this build reads ${FORMAT}`);
  const [, numbers, last, sources, written, unset, sums, members, counts, heard, remembered] = machinery;
  const [updates, lastStamp, mark, prunedAtMs] = numbers;
  const orderAt = (cells: readonly unknown[], from: number): WriteOrder => ({
    stamp: lastStamp - (cells[from] as number),
    src: sources[cells[from + 1] as number]!,
    seq: cells[from + 2] as number,
  });
  const registers = new Map<string, Register>();
  for (let i = 0; i < written.length; i += 5)
    registers.set(written[i] as string, { value: written[i + 4], order: orderAt(written, i + 1) });
  for (let i = 0; i < unset.length; i += 4)
    registers.set(unset[i] as string, { value: undefined, order: orderAt(unset, i + 1) });
  const counters = new Map<string, Decimal>();
  for (let i = 0; i < sums.length; i += 2) counters.set(sums[i] as string, sums[i + 1] as Decimal);
  const sets = new Map<string, Map<string, SetMember>>();
  for (const cells of members) {
    const set = new Map<string, SetMember>();
    for (let i = 1; i < cells.length; i += 5)
      set.set(cells[i] as string, { present: cells[i + 1] === 1, order: orderAt(cells, i + 2) });
    sets.set(cells[0] as string, set);
  }
  const events = new Map<string, EventCount>();
  for (let i = 0; i < counts.length; i += 4)
    events.set(counts[i] as string, {
      count: counts[i + 1] as number,
      firstAt: counts[i + 2] as number,
      lastAt: counts[i + 3] as number,
    });
  const seen = new Map<string, SeenSource>();
  for (const [source, back, blurredTo, ...intervals] of heard)
    seen.set(sources[source]!, { intervals, lastStamp: lastStamp - back, blurredTo });
  const ids = new Map<string, number>();
  for (let i = 0; i < remembered.length; i += 2)
    ids.set(remembered[i] as string, remembered[i + 1] as number);
  const [id, at, path, appliedAtMs, lagMs] = last;
  const profile = { registers, counters, sets, events, seen, ids, mark, updates, lastStamp, prunedAtMs };
  return { profile, lastUpdate: { id, at, path, appliedAtMs, lagMs } };
}

/** The plain attribute fields in which two profiles differ. */
export function attributeChanges(
  before: Profile,
  after: Profile,
): { set: [string, string][]; remove: string[] } {
  const changes: { set: [string, string][]; remove: string[] } = { set: [], remove: [] };
  const compared = new Set<string>();
  const compare = (name: string) => {
    if (compared.has(name)) return;
    compared.add(name);
    const json = attributeJson(after, name);
    if (json === attributeJson(before, name)) return;
    if (json === undefined) changes.remove.push(name);
    else changes.set.push([name, json]);
  };
  for (const part of ["registers", "sets", "counters"] as const) {
    if (before[part] === after[part]) continue;
    after[part].forEach((cell: unknown, name: string) => {
      if (before[part].get(name) !== cell) compare(name);
    });
  }
  return changes;
}
