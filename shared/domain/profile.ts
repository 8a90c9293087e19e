import type { Calculated } from "./calculated.ts";
import { type Decimal, decimalToNumber } from "./decimal.ts";
import type { SeenSource } from "./seen.ts";
import type { WriteOrder } from "./stamp.ts";

/**
 * A user's state. Each kind of operation has cells of its own, so that updates that disagree on what kind a
 * field has still give the same profile in any order. All parts are immutable: `apply` copies what it
 * changes.
 */
export type Profile = {
  /** Last-writer-wins values; `value` undefined is a tombstone of `unset`. */
  readonly registers: ReadonlyMap<string, Register>;
  readonly counters: ReadonlyMap<string, Decimal>;
  /** Each set's members by their JSON text; `present` false is a tombstone of `remove`. */
  readonly sets: ReadonlyMap<string, ReadonlyMap<string, SetMember>>;
  readonly events: ReadonlyMap<string, EventCount>;
  /** What was counted, per source. */
  readonly seen: ReadonlyMap<string, SeenSource>;
  /** Every update with at most this stamp that is not in `seen` is too old to tell from a repeat. */
  readonly mark: number;
  /** The callers' own ids of late, with the millisecond they were counted in, oldest first. */
  readonly ids: ReadonlyMap<string, number>;
  /** Distinct updates counted. */
  readonly updates: number;
  /** The greatest stamp counted. */
  readonly lastStamp: number;
  /** When tombstones and old sources were last looked for, milliseconds since the epoch. */
  readonly prunedAtMs: number;
  /** For the tenant's definitions; undefined where there were none yet. */
  readonly calculated: Calculated | undefined;
};

/** The profile once its pending changes are announced; the same one where there are none. */
export function withoutPending(profile: Profile): Profile {
  const { calculated } = profile;
  return calculated && calculated.pending.length > 0
    ? { ...profile, calculated: { ...calculated, pending: [] } }
    : profile;
}

export type Register = { readonly value: unknown; readonly order: WriteOrder };
export type SetMember = { readonly present: boolean; readonly order: WriteOrder };
export type EventCount = { readonly count: number; readonly firstAt: number; readonly lastAt: number };

export const EMPTY_PROFILE: Profile = {
  registers: new Map(),
  counters: new Map(),
  sets: new Map(),
  events: new Map(),
  seen: new Map(),
  mark: 0,
  ids: new Map(),
  updates: 0,
  lastStamp: 0,
  prunedAtMs: 0,
  calculated: undefined,
};

/**
 * The value that readers see under a name, or undefined. Where a name was used for several kinds, a register
 * hides a set, and a set hides a counter. A set is the array of its members in the order of their JSON text.
 */
export function attributeValue(profile: Profile, name: string): unknown {
  const register = profile.registers.get(name);
  if (register?.value !== undefined) return register.value;
  const members = presentMembers(profile, name);
  if (members.length > 0) return members.map((member) => JSON.parse(member) as unknown);
  const counter = profile.counters.get(name);
  return counter === undefined ? undefined : decimalToNumber(counter);
}

/** As `attributeValue`, as JSON text; a counter keeps all its decimal digits. */
export function attributeJson(profile: Profile, name: string): string | undefined {
  const register = profile.registers.get(name);
  if (register?.value !== undefined) return JSON.stringify(register.value);
  const members = presentMembers(profile, name);
  if (members.length > 0) return `[${members.join(",")}]`;
  return profile.counters.get(name)?.toString();
}

function presentMembers(profile: Profile, name: string): string[] {
  const members = profile.sets.get(name);
  if (!members) return [];
  return [...members]
    .filter(([, member]) => member.present)
    .map(([json]) => json)
    .sort();
}

/** Every name that may have a value, in rising order. */
export function attributeNames(profile: Profile): string[] {
  return [
    ...new Set([...profile.registers.keys(), ...profile.sets.keys(), ...profile.counters.keys()]),
  ].sort();
}

/** All attributes as one object, for readers. */
export function attributes(profile: Profile): Record<string, unknown> {
  const entries = attributeNames(profile).map((name) => [name, attributeValue(profile, name)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}
