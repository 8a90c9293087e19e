import { type CalculatedRecord, decodeCalculated, encodeCalculated } from "./calculated-record.ts";
import type { Decimal } from "./decimal.ts";
import { EMPTY_PROFILE, type EventCount, type Profile, type Register, type SetMember } from "./profile.ts";
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
const FORMAT = 3;
/** As 3, where nothing is calculated. */
const PLAIN_FORMAT = 2;

type Flat = (string | number)[];
type Machinery = [
  format: number,
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
  calculated?: CalculatedRecord,
];

/** What cells are written by: sources by their index, stamps as steps back from the last one. */
type Basis = { sources: string[]; lastStamp: number };

/** The text that the store keeps. Plain loops: this and its reverse are the dearest functions of the service. */
export function encodeProfile(profile: Profile, lastUpdate: LastUpdate): string {
  const { lastStamp } = profile;
  const sources: string[] = [];
  const basis = { sources, lastStamp };
  const registers: Machinery[4] = [];
  const unset: Machinery[5] = [];
  flattenRegisters(profile.registers, basis, registers, unset);
  const { id, at, path, appliedAtMs, lagMs } = lastUpdate;
  const machinery: Machinery = [
    profile.calculated ? FORMAT : PLAIN_FORMAT,
    [profile.updates, lastStamp, profile.mark, profile.prunedAtMs],
    [id, at, path, appliedAtMs, lagMs],
    sources,
    registers,
    unset,
    flattenNumbers(profile.counters),
    flattenSets(profile.sets, basis),
    flattenEvents(profile.events),
    flattenSeen(profile.seen, basis),
    flattenNumbers(profile.ids),
  ];
  if (profile.calculated) machinery.push(encodeCalculated(profile.calculated));
  return JSON.stringify(machinery);
}

/** The reverse. Throws on a text of another format, which another build wrote. */
export function decodeProfile(text: string): { profile: Profile; lastUpdate: LastUpdate } {
  const machinery = JSON.parse(text) as Machinery;
  const [format] = machinery;
  if (format !== FORMAT && format !== PLAIN_FORMAT)
    throw new Error(`profile format ${format}: this build reads ${PLAIN_FORMAT} and ${FORMAT}`);
  const [, numbers, last, sources, written, unset, sums, members, counts, heard, remembered, calculated] =
    machinery;
  const [updates, lastStamp, mark, prunedAtMs] = numbers;
  const basis = { sources, lastStamp };
  const [id, at, path, appliedAtMs, lagMs] = last;
  // In the order of `EMPTY_PROFILE`: all profiles are of one shape to V8.
  const profile = {
    registers: readRegisters(written, unset, basis),
    counters: readNumbers<Decimal>(sums),
    sets: readSets(members, basis),
    events: readEvents(counts),
    seen: readSeen(heard, basis),
    mark,
    ids: readNumbers<number>(remembered),
    updates,
    lastStamp,
    prunedAtMs,
    calculated: calculated && decodeCalculated(calculated),
  };
  return { profile, lastUpdate: { id, at, path, appliedAtMs, lagMs } };
}

function indexIn(sources: string[], src: string): number {
  const known = sources.indexOf(src);
  return known >= 0 ? known : sources.push(src) - 1;
}

function orderAt(cells: readonly unknown[], from: number, { sources, lastStamp }: Basis): WriteOrder {
  return {
    stamp: lastStamp - (cells[from] as number),
    src: sources[cells[from + 1] as number]!,
    seq: cells[from + 2] as number,
  };
}

function flattenRegisters(
  registers: Profile["registers"],
  { sources, lastStamp }: Basis,
  written: Machinery[4],
  unset: Machinery[5],
): void {
  registers.forEach(({ value, order: { stamp, src, seq } }, name) => {
    const back = lastStamp - stamp;
    if (value === undefined) unset.push(name, back, indexIn(sources, src), seq);
    else written.push(name, back, indexIn(sources, src), seq, value);
  });
}

/** Empty parts are those of `EMPTY_PROFILE`: most profiles have some, and a map takes 200 bytes. */
function readRegisters(
  written: Machinery[4],
  unset: Machinery[5],
  basis: Basis,
): ReadonlyMap<string, Register> {
  if (written.length + unset.length === 0) return EMPTY_PROFILE.registers;
  const registers = new Map<string, Register>();
  for (let i = 0; i < written.length; i += 5)
    registers.set(written[i] as string, { value: written[i + 4], order: orderAt(written, i + 1, basis) });
  for (let i = 0; i < unset.length; i += 4)
    registers.set(unset[i] as string, { value: undefined, order: orderAt(unset, i + 1, basis) });
  return registers;
}

const NO_NUMBERS = new Map<string, never>();

/** Counters, and callers' ids. */
function flattenNumbers<Amount>(numbers: ReadonlyMap<string, Amount>): (string | Amount)[] {
  const cells: (string | Amount)[] = [];
  numbers.forEach((amount, name) => {
    cells.push(name, amount);
  });
  return cells;
}

function readNumbers<Amount>(cells: readonly unknown[]): ReadonlyMap<string, Amount> {
  if (cells.length === 0) return NO_NUMBERS;
  const numbers = new Map<string, Amount>();
  for (let i = 0; i < cells.length; i += 2) numbers.set(cells[i] as string, cells[i + 1] as Amount);
  return numbers;
}

function flattenSets(sets: Profile["sets"], { sources, lastStamp }: Basis): Machinery[7] {
  const flat: Machinery[7] = [];
  sets.forEach((members, name) => {
    const cells: Flat = [name];
    members.forEach(({ present, order: { stamp, src, seq } }, member) => {
      cells.push(member, present ? 1 : 0, lastStamp - stamp, indexIn(sources, src), seq);
    });
    flat.push(cells);
  });
  return flat;
}

function readSets(flat: Machinery[7], basis: Basis): Profile["sets"] {
  if (flat.length === 0) return EMPTY_PROFILE.sets;
  const sets = new Map<string, Map<string, SetMember>>();
  for (const cells of flat) {
    const members = new Map<string, SetMember>();
    for (let i = 1; i < cells.length; i += 5)
      members.set(cells[i] as string, { present: cells[i + 1] === 1, order: orderAt(cells, i + 2, basis) });
    sets.set(cells[0] as string, members);
  }
  return sets;
}

function flattenEvents(events: Profile["events"]): Machinery[8] {
  const cells: Machinery[8] = [];
  events.forEach(({ count, firstAt, lastAt }, name) => {
    cells.push(name, count, firstAt, lastAt);
  });
  return cells;
}

function readEvents(cells: Machinery[8]): ReadonlyMap<string, EventCount> {
  if (cells.length === 0) return EMPTY_PROFILE.events;
  const events = new Map<string, EventCount>();
  for (let i = 0; i < cells.length; i += 4)
    events.set(cells[i] as string, {
      count: cells[i + 1] as number,
      firstAt: cells[i + 2] as number,
      lastAt: cells[i + 3] as number,
    });
  return events;
}

function flattenSeen(seen: Profile["seen"], { sources, lastStamp }: Basis): Machinery[9] {
  const flat: Machinery[9] = [];
  seen.forEach((source, src) => {
    const back = lastStamp - source.lastStamp;
    flat.push([indexIn(sources, src), back, source.blurredTo, ...source.intervals]);
  });
  return flat;
}

function readSeen(flat: Machinery[9], { sources, lastStamp }: Basis): Map<string, SeenSource> {
  const seen = new Map<string, SeenSource>();
  for (const [source, back, blurredTo, ...intervals] of flat)
    seen.set(sources[source]!, { intervals, lastStamp: lastStamp - back, blurredTo });
  return seen;
}
