import { beginCalculation, type Calculation } from "./calculate.ts";
import type { Calculated } from "./calculated.ts";
import type { FieldChanges } from "./calculated-fields.ts";
import { addDecimal } from "./decimal.ts";
import { type CompiledDefinitions, NO_DEFINITIONS } from "./definitions/compile.ts";
import type { Operation, Update } from "./envelope.ts";
import type { EventCount, Profile, SetMember } from "./profile.ts";
import { prune, type RetentionLimits } from "./prune.ts";
import { addSeen, sight, UNSEEN } from "./seen.ts";
import { compareOrder, type WriteOrder } from "./stamp.ts";

/**
 * What became of an update:
 * - `counted` it changed the profile
 * - `ticked` it was a tick, and its moment had not come before
 * - `repeat` it was counted before, by its (src, seq) or by its caller's id
 * - `too_old_to_tell` it is older than what the profile remembers; counting or dropping it could be wrong
 */
export type Outcome = "counted" | "ticked" | "repeat" | "too_old_to_tell";

export type Applied = {
  /** The same object as before when nothing was counted and nothing was learnt. */
  profile: Profile;
  /** One outcome for each update, in their order. */
  outcomes: Outcome[];
  /** Plain fields of calculated attributes and audiences that changed. */
  fields: FieldChanges;
  /** `fields` holds all of them, since the definitions are others than the profile had. */
  adopted: boolean;
};

const NO_FIELDS: FieldChanges = new Map();

/**
 * Folds updates into a profile. Pure, idempotent and convergent: any order and any repetition of the same
 * updates gives the same profile. Registers and set members are last-writer-wins by (stamp, src, seq),
 * counters and event counts are sums over distinct updates (state-based CRDTs, Shapiro et al., 2011, with
 * the deduplication made explicit in `seen`).
 *
 * The one exception is a caller's id that comes under two identities (a retry through another publisher):
 * the first of them to arrive counts, whichever has the lower stamp.
 *
 * @param definitions of the profile's tenant, not older than those that it was folded with.
 */
export function apply(
  profile: Profile,
  updates: readonly Update[],
  limits: RetentionLimits,
  nowMs: number,
  definitions: CompiledDefinitions = NO_DEFINITIONS,
): Applied {
  const pruned = prune(profile, limits, nowMs);
  const draft = new Draft(pruned);
  const calculation = definitions.version > 0 ? beginCalculation(pruned, definitions) : undefined;
  const outcomes = updates.map((update) => count(draft, update, limits, nowMs, calculation));
  if (!calculation || !(outcomes.includes("counted") || outcomes.includes("ticked")))
    return { profile: draft.finish(), outcomes, fields: NO_FIELDS, adopted: false };
  const { calculated, fields, adopted } = calculation.finish(draft.next);
  return { profile: draft.finish(calculated), outcomes, fields, adopted };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type MapPart = "registers" | "counters" | "sets" | "events" | "seen" | "ids";
type ValueOf<P extends MapPart> = Profile[P] extends ReadonlyMap<string, infer V> ? V : never;

/** Copies each part of the profile at its first change, and only then. */
class Draft {
  readonly next: Mutable<Profile>;
  readonly #base: Profile;
  #ownSets: Set<string> | undefined;
  #changed = false;

  constructor(base: Profile) {
    this.#base = base;
    this.next = { ...base };
  }

  own<P extends MapPart>(part: P): Map<string, ValueOf<P>> {
    this.#changed = true;
    const map = this.next[part] as Map<string, ValueOf<P>>;
    if (map !== (this.#base[part] as unknown)) return map;
    const copy = copyOf(map);
    (this.next as Record<MapPart, unknown>)[part] = copy;
    return copy;
  }

  ownSet(field: string): Map<string, SetMember> {
    const sets = this.own("sets");
    this.#ownSets ??= new Set();
    if (!this.#ownSets.has(field)) {
      sets.set(field, copyOf(sets.get(field) ?? new Map<string, SetMember>()));
      this.#ownSets.add(field);
    }
    return sets.get(field) as Map<string, SetMember>;
  }

  finish(calculated?: Calculated): Profile {
    if (calculated) this.next.calculated = calculated;
    return calculated || this.#changed ? this.next : this.#base;
  }
}

/** As `new Map(map)`, which takes three times as long: it makes an array of each entry, as a loop over them does. */
function copyOf<V>(map: ReadonlyMap<string, V>): Map<string, V> {
  const copy = new Map<string, V>();
  map.forEach((value, key) => {
    copy.set(key, value);
  });
  return copy;
}

function count(
  draft: Draft,
  update: Update,
  limits: RetentionLimits,
  nowMs: number,
  calculation: Calculation | undefined,
): Outcome {
  const { src, seq, stamp, id } = update;
  const { next } = draft;
  const [only] = update.ops;
  // A moment that has come twice has come: ticks need no place in what was seen.
  if (only?.kind === "tick" && update.ops.length === 1)
    return next.updates > 0 && calculation?.tick(only.body.due, stamp) ? "ticked" : "repeat";
  const source = next.seen.get(src) ?? UNSEEN;
  const sighting = sight(source, seq);
  if (sighting === "seen") return "repeat";
  if (sighting === "unknown" || stamp <= next.mark) return "too_old_to_tell";
  draft.own("seen").set(src, addSeen(src, source, seq, stamp));
  if (id !== undefined && !rememberId(draft, id, limits, nowMs)) return "repeat";
  next.updates += 1;
  next.lastStamp = Math.max(next.lastStamp, stamp);
  const order = { stamp, src, seq };
  calculation?.counted(update);
  for (const operation of update.ops) {
    fold(draft, operation, order, update.at);
    if (calculation) calculate(calculation, operation, update);
  }
  return "counted";
}

/** False when the id was counted before. */
function rememberId(draft: Draft, id: string, limits: RetentionLimits, nowMs: number): boolean {
  const known = draft.next.ids.get(id);
  if (known !== undefined && nowMs - known <= limits.idMemoryMs) return false;
  const ids = draft.own("ids");
  ids.delete(id);
  ids.set(id, nowMs);
  for (const [oldest, countedAtMs] of ids) {
    if (ids.size <= limits.maxIds && nowMs - countedAtMs <= limits.idMemoryMs) break;
    ids.delete(oldest);
  }
  return true;
}

function fold(draft: Draft, { kind, body }: Operation, order: WriteOrder, at: number): void {
  switch (kind) {
    case "set":
      for (const field of Object.keys(body)) write(draft, field, body[field], order);
      return;
    case "unset":
      for (const field of body) write(draft, field, undefined, order);
      return;
    case "add":
    case "remove":
      for (const field of Object.keys(body)) mark(draft.ownSet(field), body[field]!, kind === "add", order);
      return;
    case "increment": {
      const counters = draft.own("counters");
      for (const field of Object.keys(body))
        counters.set(field, addDecimal(counters.get(field) ?? 0, body[field]!));
      return;
    }
    case "event": {
      const events = draft.own("events");
      events.set(body.name, countEvent(events.get(body.name), at));
      return;
    }
    case "tick":
      return;
  }
}

function calculate(calculation: Calculation, { kind, body }: Operation, update: Update): void {
  switch (kind) {
    case "event":
      calculation.event(update, body.name, body.properties);
      return;
    case "unset":
      for (const field of body) calculation.field(field);
      return;
    case "tick":
      return;
    default:
      for (const field of Object.keys(body)) calculation.field(field);
  }
}

/** `>=`, because a later operation of the same update has the same order and wins. */
function wins(order: WriteOrder, current: { order: WriteOrder } | undefined): boolean {
  return current === undefined || compareOrder(order, current.order) >= 0;
}

function write(draft: Draft, field: string, value: unknown, order: WriteOrder): void {
  if (wins(order, draft.next.registers.get(field))) draft.own("registers").set(field, { value, order });
}

function mark(
  set: Map<string, SetMember>,
  members: readonly unknown[],
  present: boolean,
  order: WriteOrder,
): void {
  for (const member of members) {
    const json = JSON.stringify(member);
    if (wins(order, set.get(json))) set.set(json, { present, order });
  }
}

function countEvent(before: EventCount | undefined, at: number): EventCount {
  if (!before) return { count: 1, firstAt: at, lastAt: at };
  return {
    count: before.count + 1,
    firstAt: Math.min(before.firstAt, at),
    lastAt: Math.max(before.lastAt, at),
  };
}
