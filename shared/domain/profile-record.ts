import type { Decimal } from "./decimal.ts";
import { attributeJson, type EventCount, type Profile, type Register, type SetMember } from "./profile.ts";
import type { SeenSource } from "./seen.ts";

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

/** All of a profile as one JSON text: arrays without names, sources by index, stamps back from the last. */
const FORMAT = 1;

type Cell = [stampsBack: number, source: number, seq: number];
type Machinery = [
  format: typeof FORMAT,
  last: [updates: number, lastStamp: number, mark: number, prunedAtMs: number],
  lastUpdate: LastUpdate,
  sources: string[],
  registers: [name: string, ...Cell, value?: unknown][],
  counters: [name: string, Decimal][],
  sets: [name: string, ...[member: string, present: 0 | 1, ...Cell][]][],
  events: [name: string, count: number, firstAt: number, lastAt: number][],
  seen: [source: number, stampsBack: number, blurredTo: number, ...intervals: number[]][],
  ids: [id: string, countedAtMs: number][],
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
  profile.registers.forEach(({ value, order: { stamp, src, seq } }, name) => {
    if (value === undefined) registers.push([name, lastStamp - stamp, index(src), seq]);
    else registers.push([name, lastStamp - stamp, index(src), seq, value]);
  });
  const sets: Machinery[6] = [];
  for (const [name, members] of profile.sets) {
    const set: Machinery[6][number] = [name];
    for (const [member, { present, order }] of members)
      set.push([member, present ? 1 : 0, lastStamp - order.stamp, index(order.src), order.seq]);
    sets.push(set);
  }
  const events: Machinery[7] = [];
  profile.events.forEach(({ count, firstAt, lastAt }, name) => {
    events.push([name, count, firstAt, lastAt]);
  });
  const seen: Machinery[8] = [];
  profile.seen.forEach((source, src) => {
    seen.push([index(src), lastStamp - source.lastStamp, source.blurredTo, ...source.intervals]);
  });
  const machinery: Machinery = [
    FORMAT,
    [profile.updates, lastStamp, profile.mark, profile.prunedAtMs],
    lastUpdate,
    sources,
    registers,
    [...profile.counters],
    sets,
    events,
    seen,
    [...profile.ids],
  ];
  return JSON.stringify(machinery);
}

/** The reverse. Throws on a text of another format: a newer build wrote it. */
export function decodeProfile(text: string): { profile: Profile; lastUpdate: LastUpdate } {
  const machinery = JSON.parse(text) as Machinery;
  if (machinery[0] !== FORMAT) throw new Error(`profile format ${machinery[0]}: this build reads ${FORMAT}`);
  const [, [updates, lastStamp, mark, prunedAtMs], lastUpdate, sources] = machinery;
  const registers = new Map<string, Register>();
  for (const [name, back, source, seq, value] of machinery[4])
    registers.set(name, { value, order: { stamp: lastStamp - back, src: sources[source]!, seq } });
  const sets = new Map<string, Map<string, SetMember>>();
  for (const [name, ...members] of machinery[6]) {
    const set = new Map<string, SetMember>();
    for (const [json, present, back, source, seq] of members)
      set.set(json, {
        present: present === 1,
        order: { stamp: lastStamp - back, src: sources[source]!, seq },
      });
    sets.set(name, set);
  }
  const events = new Map<string, EventCount>();
  for (const [name, count, firstAt, lastAt] of machinery[7]) events.set(name, { count, firstAt, lastAt });
  const seen = new Map<string, SeenSource>();
  for (const [source, back, blurredTo, ...intervals] of machinery[8])
    seen.set(sources[source]!, { intervals, lastStamp: lastStamp - back, blurredTo });
  const profile: Profile = {
    registers,
    counters: new Map(machinery[5]),
    sets,
    events,
    seen,
    ids: new Map(machinery[9]),
    mark,
    updates,
    lastStamp,
    prunedAtMs,
  };
  return { profile, lastUpdate };
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
