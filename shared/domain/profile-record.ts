import type { Decimal } from "./decimal.ts";
import { attributeJson, type EventCount, type Profile } from "./profile.ts";
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

/** The text that the store keeps. */
export function encodeProfile(profile: Profile, lastUpdate: LastUpdate): string {
  const { lastStamp } = profile;
  const sources = new Map<string, number>();
  const index = (src: string): number => {
    const known = sources.get(src) ?? sources.size;
    if (known === sources.size) sources.set(src, known);
    return known;
  };
  const cell = ({ stamp, src, seq }: WriteOrder): Cell => [lastStamp - stamp, index(src), seq];
  const machinery: Machinery = [
    FORMAT,
    [profile.updates, lastStamp, profile.mark, profile.prunedAtMs],
    lastUpdate,
    [],
    Array.from(profile.registers, ([name, { value, order }]) =>
      value === undefined ? [name, ...cell(order)] : [name, ...cell(order), value],
    ),
    [...profile.counters],
    Array.from(profile.sets, ([name, set]) => [
      name,
      ...Array.from(set, ([member, { present, order }]): [string, 0 | 1, ...Cell] => [
        member,
        present ? 1 : 0,
        ...cell(order),
      ]),
    ]),
    Array.from(profile.events, ([name, event]) => [name, event.count, event.firstAt, event.lastAt]),
    Array.from(profile.seen, ([src, source]) => [
      index(src),
      lastStamp - source.lastStamp,
      source.blurredTo,
      ...source.intervals,
    ]),
    [...profile.ids],
  ];
  machinery[3] = [...sources.keys()];
  return JSON.stringify(machinery);
}

/** The reverse. Throws on a text of another format: a newer build wrote it. */
export function decodeProfile(text: string): { profile: Profile; lastUpdate: LastUpdate } {
  const machinery = JSON.parse(text) as Machinery;
  if (machinery[0] !== FORMAT) throw new Error(`profile format ${machinery[0]}: this build reads ${FORMAT}`);
  const [, [updates, lastStamp, mark, prunedAtMs], lastUpdate, sources] = machinery;
  const order = (stampsBack: number, source: number, seq: number): WriteOrder => ({
    stamp: lastStamp - stampsBack,
    src: sources[source]!,
    seq,
  });
  const profile: Profile = {
    registers: new Map(
      machinery[4].map(([name, back, src, seq, value]) => [name, { value, order: order(back, src, seq) }]),
    ),
    counters: new Map(machinery[5]),
    sets: new Map(
      machinery[6].map(([name, ...members]) => [
        name,
        new Map(
          members.map(([json, present, ...cell]) => [
            json,
            { present: present === 1, order: order(...cell) },
          ]),
        ),
      ]),
    ),
    events: new Map(
      machinery[7].map(([name, count, firstAt, lastAt]): [string, EventCount] => [
        name,
        { count, firstAt, lastAt },
      ]),
    ),
    seen: new Map(
      machinery[8].map(([source, back, blurredTo, ...intervals]) => [
        sources[source]!,
        { intervals, lastStamp: lastStamp - back, blurredTo },
      ]),
    ),
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
  const touched = new Set<string>();
  for (const part of ["registers", "sets", "counters"] as const) {
    if (before[part] === after[part]) continue;
    for (const [name, cell] of after[part]) if (before[part].get(name) !== cell) touched.add(name);
  }
  for (const name of touched) {
    const json = attributeJson(after, name);
    if (json === attributeJson(before, name)) continue;
    if (json === undefined) changes.remove.push(name);
    else changes.set.push([name, json]);
  }
  return changes;
}
