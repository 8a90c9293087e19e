import {
  type Calculated,
  NOTHING_CALCULATED,
  type PendingChange,
  type PendingChanges,
} from "./calculated.ts";
import type { Occurrence, State } from "./definitions/aggregate.ts";
import { MAX_VALUE_LENGTH } from "./definitions/aggregate-values.ts";
import type { CompiledAttribute, CompiledDefinitions, EventRule } from "./definitions/compile.ts";
import { failed, measured } from "./definitions/costs.ts";
import { createScope, type Scope } from "./definitions/scope.ts";
import { bucketOf, DAY_MS, firstBucket, leavesAtMs } from "./definitions/window.ts";
import type { Update } from "./envelope.ts";
import { updateId } from "./envelope.ts";
import { type ChangeCause, entersAt } from "./membership-change.ts";
import type { Profile } from "./profile.ts";
import { stampTimeMs } from "./stamp.ts";

/** The plain fields that changed, by name: JSON, or undefined where there is no value any more. */
export type FieldChanges = Map<string, string | undefined>;

/** One turn's part of `apply` for a tenant that has definitions. */
export type Calculation = {
  /** An event of an update that counted. */
  event(update: Update, name: string, properties: Record<string, unknown> | undefined): void;
  /** An attribute of the profile's own was written. */
  field(name: string): void;
  /** After the operations of an update that counted. */
  counted(update: Update): void;
  /** False where the moment has passed already. */
  tick(dueMs: number, stamp: number): boolean;
  /** What is to be kept, computed on the profile as it is after the turn; and the plain fields that changed. */
  finish(profile: Profile): Finished;
};

export type Finished = {
  calculated: Calculated;
  fields: FieldChanges;
  /** The definitions are others than the profile's were: `fields` holds all, and what is in none of them is gone. */
  adopted: boolean;
};

const SCOPES = new WeakMap<CompiledDefinitions, Scope>();

/** The scope in which a tenant's expressions run; one for each set of definitions. */
export function scopeOf(definitions: CompiledDefinitions): Scope {
  const known = SCOPES.get(definitions);
  if (known) return known;
  const scope = createScope(definitions);
  SCOPES.set(definitions, scope);
  return scope;
}

/**
 * Begins on what the profile holds. Where it was folded with older definitions, what is of a slot that is there still
 * goes on, and the rest is dropped.
 *
 * @throws Error when the definitions are older than the profile's: what they lack would be lost.
 */
export function beginCalculation(profile: Profile, definitions: CompiledDefinitions): Calculation {
  const base = profile.calculated ?? { ...NOTHING_CALCULATED, asOfMs: stampTimeMs(profile.lastStamp) };
  if (base.version > definitions.version)
    throw new Error(`definitions of version ${definitions.version}, and the profile has ${base.version}`);
  return new Turn(definitions, base);
}

class Turn implements Calculation {
  readonly #definitions: CompiledDefinitions;
  readonly #base: Calculated;
  readonly #states: (State | undefined)[];
  readonly #dirty: DirtyPlaces;
  #asOfMs: number;
  #cause: ChangeCause | undefined;
  #causeStamp = -1;

  constructor(definitions: CompiledDefinitions, base: Calculated) {
    this.#definitions = definitions;
    this.#base = base;
    this.#asOfMs = base.asOfMs;
    this.#states = new Array(definitions.attributes.length).fill(undefined);
    base.states.forEach((state, slot) => {
      const place = definitions.attributeOfSlot.get(slot);
      if (place !== undefined) this.#states[place] = state;
    });
    this.#dirty = new DirtyPlaces(definitions);
  }

  event(update: Update, name: string, properties: Record<string, unknown> = {}): void {
    const groups = this.#definitions.byEvent.get(name);
    if (!groups) return;
    const t = Math.min(update.at, stampTimeMs(update.stamp));
    for (const { where, attributes } of groups) {
      if (where && !this.#holds(where.run, properties)) continue;
      for (const place of attributes) this.#add(place, t, update.stamp, properties);
    }
  }

  #holds(run: (context: object) => unknown, properties: Record<string, unknown>): boolean {
    try {
      return run({ event: properties }) === true;
    } catch {
      return false;
    }
  }

  #add(place: number, t: number, stamp: number, properties: Record<string, unknown>): void {
    const { event, cost } = this.#definitions.attributes[place] as CompiledAttribute & { event: EventRule };
    const { aggregate, property, window, limit } = event;
    const value = property === undefined ? undefined : ownValue(properties, property);
    if (property !== undefined && (value === undefined || value === null)) return;
    const json = aggregate.takes === "value" ? JSON.stringify(value) : "";
    if ((aggregate.takes === "number" && !isAmount(value)) || json.length > MAX_VALUE_LENGTH) {
      cost.skipped += 1;
      return;
    }
    const bucket = bucketOf(window, t);
    if (window && bucket < firstBucket(window, this.#asOfMs)) {
      cost.late += 1;
      return;
    }
    const occurrence: Occurrence = { t, stamp, bucket, value, json };
    try {
      const before = this.#states[place];
      const after = measured(cost, this.#definitions.clockMs, () => aggregate.add(before, occurrence, limit));
      if (after === before) return;
      this.#states[place] = after;
      this.#dirty.attribute(place);
    } catch (error) {
      failed(cost, error);
    }
  }

  field(name: string): void {
    this.#dirty.field(name);
  }

  counted(update: Update): void {
    this.#asOfMs = Math.max(this.#asOfMs, stampTimeMs(update.stamp));
    if (update.stamp <= this.#causeStamp) return;
    this.#causeStamp = update.stamp;
    this.#cause = { kind: "update", id: updateId(update) };
  }

  tick(dueMs: number, stamp: number): boolean {
    const moment = Math.min(dueMs, stampTimeMs(stamp));
    if (moment <= this.#asOfMs) return false;
    this.#asOfMs = moment;
    this.#cause ??= { kind: "time" };
    return true;
  }

  finish(profile: Profile): Finished {
    const definitions = this.#definitions;
    const base = this.#base;
    const adopts = base.version !== definitions.version;
    this.#passTime(adopts);
    const numbers: (number | undefined)[] = new Array(definitions.audiences.length);
    base.numbers.forEach((number, slot) => {
      const place = definitions.audienceOfSlot.get(slot);
      if (place !== undefined) numbers[place] = number;
    });
    const scope = scopeOf(definitions);
    scope.look({ profile, asOfMs: this.#asOfMs, states: this.#states, numbers });
    const fields = this.#fields(scope, adopts);
    const before = adopts ? ofKnownAudiences(base.pending, definitions) : base.pending;
    const news = this.#judge(scope, numbers, profile, adopts);
    const pending = news.length > 0 ? [...before, ...news] : before;
    if (news.length > 0 || adopts) fields.set(AUDIENCES_FIELD, membersJson(definitions, numbers));
    const calculated = {
      version: definitions.version,
      asOfMs: this.#asOfMs,
      alarmMs: alarmOf(base.alarmMs, this.#asOfMs, nextDue(definitions, scope, this.#states, this.#asOfMs)),
      states: this.#keptStates(adopts),
      numbers: news.length > 0 || adopts ? keptNumbers(definitions, base, numbers) : base.numbers,
      pending,
    };
    return { calculated, fields, adopted: adopts };
  }

  /** What leaves its window, and what depends on the moment itself. */
  #passTime(adopts: boolean): void {
    if (this.#asOfMs === this.#base.asOfMs && !adopts) return;
    const { attributes, byNow } = this.#definitions;
    this.#states.forEach((state, place) => {
      const { event } = attributes[place]!;
      if (state === undefined || !event) return;
      if (event.window) {
        const left = event.aggregate.expire(state, firstBucket(event.window, this.#asOfMs), event.window);
        if (left === state) return;
        this.#states[place] = left;
        this.#dirty.attribute(place);
      } else if (
        !event.aggregate.windowed &&
        event.aggregate.value(state, this.#asOfMs) !== event.aggregate.value(state, this.#base.asOfMs)
      )
        this.#dirty.attribute(place);
    });
    for (const place of byNow) this.#dirty.audience(place);
  }

  #fields(scope: Scope, adopts: boolean): FieldChanges {
    const { attributes } = this.#definitions;
    const fields: FieldChanges = new Map();
    const note = (place: number) => {
      const value = scope.attribute(place);
      fields.set(attributes[place]!.name, value === undefined ? undefined : JSON.stringify(value));
    };
    for (const place of adopts ? attributes.keys() : this.#dirty.attributes()) note(place);
    return fields;
  }

  /** Evaluates the rules that may say something else now, and numbers the changes. */
  #judge(scope: Scope, numbers: (number | undefined)[], profile: Profile, adopts: boolean): PendingChanges[] {
    const { audiences } = this.#definitions;
    const changes: PendingChange[] = [];
    const known: PendingChange[] = [];
    const judge = (place: number) => {
      const { standing } = audiences[place]!;
      const number = numbers[place] ?? 0;
      const { slot, version } = standing;
      const member = scope.isMember(place);
      if (member !== undefined && member !== entersAt(number)) {
        numbers[place] = number + 1;
        changes.push({ slot, number: number + 1, version });
      } else if (adopts && number > 0 && version > this.#base.version) known.push({ slot, number, version });
    };
    for (const place of adopts ? audiences.keys() : this.#dirty.audiences()) judge(place);
    const at = { atMs: this.#asOfMs, stamp: profile.lastStamp };
    const groups: PendingChanges[] = [];
    if (changes.length > 0) groups.push({ ...at, cause: this.#cause ?? { kind: "definition" }, changes });
    if (known.length > 0) groups.push({ ...at, cause: undefined, changes: known });
    return groups;
  }

  #keptStates(adopts: boolean): Calculated["states"] {
    if (!adopts && !this.#dirty.any()) return this.#base.states;
    const kept = new Map<number, State>();
    this.#states.forEach((state, place) => {
      if (state !== undefined) kept.set(this.#definitions.attributes[place]!.standing.slot, state);
    });
    return kept;
  }
}

/** Beside the attributes: the names of the audiences that the user is in. */
export const AUDIENCES_FIELD = "$audiences";

function membersJson(
  { audiences }: CompiledDefinitions,
  numbers: readonly (number | undefined)[],
): string | undefined {
  const names = audiences.flatMap(({ name }, place) => (entersAt(numbers[place] ?? 0) ? [name] : []));
  return names.length === 0 ? undefined : JSON.stringify(names.sort());
}

/** Numbers go on for an audience that is disabled, and end with one that is deleted. */
function keptNumbers(
  definitions: CompiledDefinitions,
  base: Calculated,
  numbers: readonly (number | undefined)[],
): Calculated["numbers"] {
  const kept = new Map<number, number>();
  base.numbers.forEach((number, slot) => {
    if (definitions.audienceSlots.has(slot)) kept.set(slot, number);
  });
  numbers.forEach((number, place) => {
    if (number !== undefined) kept.set(definitions.audiences[place]!.standing.slot, number);
  });
  return kept;
}

/** Nobody waits for the changes of an audience that is deleted. */
function ofKnownAudiences(
  pending: Calculated["pending"],
  definitions: CompiledDefinitions,
): Calculated["pending"] {
  return pending.flatMap((group) => {
    const changes = group.changes.filter(({ slot }) => definitions.audienceSlots.has(slot));
    return changes.length > 0 ? [{ ...group, changes }] : [];
  });
}

/** What has to be computed again, each once and in order. */
class DirtyPlaces {
  readonly #definitions: CompiledDefinitions;
  readonly #attributes = new Set<number>();
  readonly #audiences = new Set<number>();

  constructor(definitions: CompiledDefinitions) {
    this.#definitions = definitions;
  }

  attribute(place: number): void {
    if (this.#attributes.has(place)) return;
    this.#attributes.add(place);
    const { attributes, audiences } = this.#definitions.attributes[place]!.dependents;
    for (const each of attributes) this.#attributes.add(each);
    for (const each of audiences) this.#audiences.add(each);
  }

  field(name: string): void {
    const dependents = this.#definitions.byField.get(name);
    if (!dependents) return;
    for (const each of dependents.attributes) this.#attributes.add(each);
    for (const each of dependents.audiences) this.#audiences.add(each);
  }

  audience(place: number): void {
    this.#audiences.add(place);
    for (const each of this.#definitions.audiences[place]!.dependents) this.#audiences.add(each);
  }

  any(): boolean {
    return this.#attributes.size > 0;
  }

  attributes(): number[] {
    return [...this.#attributes];
  }

  audiences(): number[] {
    return [...this.#audiences].sort((a, b) => a - b);
  }
}

/**
 * An alarm that is set goes off first: a tick that comes too early changes nothing and sets the next one. So no
 * entry of the due store ever has to be moved.
 */
function alarmOf(alarmMs: number, asOfMs: number, dueMs: number): number {
  if (alarmMs > asOfMs && alarmMs <= dueMs) return alarmMs;
  return dueMs === Number.POSITIVE_INFINITY ? 0 : dueMs;
}

/** The next moment at which time alone changes a value or a membership; infinite for never. */
export function nextDue(
  { attributes, audiences, byNow }: CompiledDefinitions,
  scope: Scope,
  states: readonly (State | undefined)[],
  asOfMs: number,
): number {
  let dueMs = Number.POSITIVE_INFINITY;
  states.forEach((state, place) => {
    const { event } = attributes[place]!;
    if (state === undefined || !event) return;
    if (event.window)
      dueMs = Math.min(dueMs, leavesAtMs(event.window, event.aggregate.oldest(state, event.window)));
    else if (!event.aggregate.windowed) {
      const days = event.aggregate.value(state, asOfMs) as number;
      dueMs = Math.min(dueMs, (state[0] as number) + (days + 1) * DAY_MS);
    }
  });
  for (const place of byNow) {
    const { rule, nowComparisons } = audiences[place]!;
    for (const { flipsAtMs } of nowComparisons) {
      const flipMs = momentOf(() => flipsAtMs(scope.contextOf(rule)));
      if (flipMs > asOfMs) dueMs = Math.min(dueMs, flipMs);
    }
  }
  return dueMs;
}

/** Where a part can't be computed it does not flip. */
function momentOf(compute: () => number): number {
  try {
    return compute();
  } catch {
    return Number.NEGATIVE_INFINITY;
  }
}

function ownValue(properties: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(properties, name) ? properties[name] : undefined;
}

const MIN_AMOUNT = 1e-12;
const MAX_AMOUNT = 1e15;

function isAmount(value: unknown): boolean {
  if (typeof value !== "number") return false;
  const size = Math.abs(value);
  return size === 0 || (size >= MIN_AMOUNT && size <= MAX_AMOUNT);
}
