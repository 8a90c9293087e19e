import { AUDIENCES_FIELD, type Calculated, NOTHING_CALCULATED } from "./calculated.ts";
import { changedFields, type FieldChanges } from "./calculated-fields.ts";
import { type Workspace, workspaceOf } from "./calculation-workspace.ts";
import type { State } from "./definitions/aggregate.ts";
import { MAX_VALUE_LENGTH } from "./definitions/aggregate-values.ts";
import type { CompiledAttribute, CompiledDefinitions } from "./definitions/compile.ts";
import { begin, end, failed } from "./definitions/costs.ts";
import { type EventRule, holds, isAmount, ownValue } from "./definitions/event-rule.ts";
import { nextDueMs } from "./definitions/next-due.ts";
import { bucketOf, firstBucket, type Window } from "./definitions/window.ts";
import { type Update, updateId } from "./envelope.ts";
import { keptStates } from "./kept-states.ts";
import type { ChangeCause } from "./membership-change.ts";
import { judge } from "./memberships.ts";
import { ownSlots } from "./own-slots.ts";
import type { Profile } from "./profile.ts";
import { stampTimeMs } from "./stamp.ts";

/** One turn's part of `apply` for a tenant that has definitions. */
export type Calculation = {
  /** An update counts: before its operations. */
  counted(update: Update): void;
  /** One of its events. */
  event(update: Update, name: string, properties: Record<string, unknown> | undefined): void;
  /** It writes an attribute of the profile's own. */
  field(name: string): void;
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

/**
 * Begins on what the profile holds. Where it was folded with other definitions, what is of a slot that is there still
 * goes on, and the rest is dropped: who folds has to know that there are no newer ones.
 */
export function beginCalculation(profile: Profile, definitions: CompiledDefinitions): Calculation {
  const { calculated } = profile;
  const workspace = workspaceOf(definitions);
  if (!calculated && profile.updates === 0) {
    workspace.beginNewUser();
    return new Turn(definitions, workspace, { ...NOTHING_CALCULATED, version: definitions.version });
  }
  const base = calculated
    ? ownSlots(calculated, definitions)
    : { ...NOTHING_CALCULATED, asOfMs: stampTimeMs(profile.lastStamp) };
  workspace.begin(base);
  return new Turn(definitions, workspace, base);
}

class Turn implements Calculation {
  readonly #definitions: CompiledDefinitions;
  readonly #base: Calculated;
  readonly #workspace: Workspace;
  readonly #adopts: boolean;
  #asOfMs: number;
  /** The latest of those that count. */
  #last: Update | undefined;
  #ticked = false;

  constructor(definitions: CompiledDefinitions, workspace: Workspace, base: Calculated) {
    this.#definitions = definitions;
    this.#base = base;
    this.#asOfMs = base.asOfMs;
    this.#adopts = base.version !== definitions.version;
    this.#workspace = workspace;
  }

  counted(update: Update): void {
    this.#asOfMs = Math.max(this.#asOfMs, stampTimeMs(update.stamp));
    if (!this.#last || update.stamp > this.#last.stamp) this.#last = update;
  }

  /** Of the turn's changes of membership. */
  #cause(): ChangeCause {
    if (this.#last) return { kind: "update", id: updateId(this.#last) };
    return { kind: this.#ticked ? "time" : "definition" };
  }

  event(update: Update, name: string, properties: Record<string, unknown> = {}): void {
    const groups = this.#definitions.byEvent.get(name);
    if (!groups) return;
    const t = Math.min(update.at, stampTimeMs(update.stamp));
    for (const { where, cost, attributes } of groups) {
      if (where && !holds(where.run, properties, cost, this.#definitions.clockMs)) continue;
      for (const place of attributes) this.#add(place, t, update.stamp, properties);
    }
  }

  #add(place: number, t: number, stamp: number, properties: Record<string, unknown>): void {
    const { event, cost } = this.#definitions.attributes[place] as CompiledAttribute & { event: EventRule };
    const { aggregate, property, window, limit } = event;
    const value = property === undefined ? undefined : ownValue(properties, property);
    if (property !== undefined && (value === undefined || value === null)) return;
    const { takes } = aggregate;
    const json = takes === "value" || takes === "any" ? JSON.stringify(value) : "";
    // 1e400 is nothing that JSON can write.
    if (json === "null") return;
    if ((takes === "number" && !isAmount(value)) || (takes === "value" && json.length > MAX_VALUE_LENGTH)) {
      cost.skipped += 1;
      return;
    }
    const bucket = bucketOf(window, t);
    if (window && bucket < firstBucket(window, this.#asOfMs)) {
      cost.late += 1;
      return;
    }
    const { clockMs } = this.#definitions;
    const begunMs = begin(cost, clockMs);
    const { states, occurrence } = this.#workspace;
    occurrence.t = t;
    occurrence.stamp = stamp;
    occurrence.bucket = bucket;
    occurrence.value = value;
    occurrence.json = json;
    try {
      this.#setState(place, aggregate.add(states[place], occurrence, limit));
    } catch (error) {
      failed(cost, error);
    }
    end(cost, clockMs, begunMs);
  }

  #setState(place: number, state: State | undefined): void {
    const { states, changed, dirty } = this.#workspace;
    if (states[place] === state) return;
    states[place] = state;
    changed.push(place);
    dirty.attribute(place);
  }

  field(name: string): void {
    this.#workspace.dirty.field(name);
  }

  tick(dueMs: number, stamp: number): boolean {
    const moment = Math.min(dueMs, stampTimeMs(stamp) + MAX_TICK_LEAD_MS);
    if (moment <= this.#asOfMs) return false;
    this.#asOfMs = moment;
    this.#ticked = true;
    return true;
  }

  finish(profile: Profile): Finished {
    const { scope, states, changed, numbers } = this.#workspace;
    const definitions = this.#definitions;
    const base = this.#base;
    this.#passTime();
    const asOfMs = this.#asOfMs;
    scope.look({ profile, asOfMs, states, numbers });
    const fields = changedFields(this.#workspace, definitions, base);
    const judged = judge(this.#workspace, definitions, base, {
      atMs: asOfMs,
      stamp: profile.lastStamp,
      cause: () => this.#cause(),
    });
    if ("members" in judged) fields.set(AUDIENCES_FIELD, judged.members);
    const calculated = {
      version: definitions.version,
      asOfMs,
      alarmMs: this.#alarmMs(),
      states:
        changed.length > 0 || this.#adopts ? keptStates(this.#workspace, definitions, base) : base.states,
      numbers: judged.numbers,
      pending: judged.pending,
    };
    return { calculated, fields, adopted: this.#adopts };
  }

  /** What leaves its window, and what depends on the moment itself. */
  #passTime(): void {
    const { dirty } = this.#workspace;
    if (this.#adopts) dirty.all();
    else if (this.#asOfMs === this.#base.asOfMs) return;
    const { windows, timers } = this.#workspace;
    for (const { window, places } of windows) {
      const first = firstBucket(window, this.#asOfMs);
      // What was to leave until then has left.
      if (!this.#adopts && first === firstBucket(window, this.#base.asOfMs)) continue;
      for (const place of places) this.#expire(place, window, first);
    }
    for (const place of timers) this.#passTimeOf(place);
    if (this.#mayFlip()) for (const place of this.#definitions.byNow) dirty.audience(place);
  }

  #expire(place: number, window: Window, first: number): void {
    const state = this.#workspace.states[place];
    if (state === undefined) return;
    const { event, cost } = this.#definitions.attributes[place]!;
    try {
      this.#setState(place, event!.aggregate.expire(state, first, window));
    } catch (error) {
      failed(cost, error);
    }
  }

  #passTimeOf(place: number): void {
    const { states, dirty } = this.#workspace;
    const state = states[place];
    if (state === undefined) return;
    const { event, cost } = this.#definitions.attributes[place]!;
    const { aggregate } = event!;
    try {
      if (aggregate.value(state, this.#asOfMs) !== aggregate.value(state, this.#base.asOfMs))
        dirty.attribute(place);
    } catch (error) {
      failed(cost, error);
    }
  }

  /**
   * An alarm that is set goes off first: a tick that comes too early changes nothing and sets the next one. So no
   * entry of the due store ever has to be moved, and what did not change needs no look while none is overdue.
   */
  #alarmMs(): number {
    const { dirty } = this.#workspace;
    const definitions = this.#definitions;
    const { alarmMs } = this.#base;
    const asOfMs = this.#asOfMs;
    const [attributes, audiences] = this.#mayFlip()
      ? [definitions.byTime, definitions.byNow]
      : [dirty.attributes(), dirty.audiences()];
    const dueMs = nextDueMs(definitions, attributes, audiences, this.#workspace, asOfMs);
    if (alarmMs > asOfMs && alarmMs <= dueMs) return alarmMs;
    return dueMs === Number.POSITIVE_INFINITY ? 0 : dueMs;
  }

  /** Whether time alone may change a membership in this turn: not before the alarm. */
  #mayFlip(): boolean {
    const { alarmMs, asOfMs } = this.#base;
    const isNewUser = asOfMs === 0;
    return this.#adopts || isNewUser || (alarmMs > 0 && alarmMs <= this.#asOfMs);
  }
}

/** A sweeper's clock may have been set back between its claim and its stamp; what is further ahead is no tick of ours. */
const MAX_TICK_LEAD_MS = 600_000;
