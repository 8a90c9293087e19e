import type { State } from "./definitions/aggregate.ts";
import type { ChangeCause } from "./membership-change.ts";

/** What a profile holds for its tenant's definitions. Immutable. */
export type Calculated = {
  /** Of the tenant's definitions that it was folded with last. */
  readonly version: number;
  /** Values and memberships are as of this moment, milliseconds since the epoch. */
  readonly asOfMs: number;
  /** The due store has, or is about to have, this user at this moment; 0 for never. */
  readonly alarmMs: number;
  /** The state of each attribute over events, after the attribute's slot: [slot, state, …]. */
  readonly states: readonly (number | State)[];
  /** The number of the last change in each audience, after the audience's slot: [slot, number, …]. */
  readonly numbers: readonly number[];
  /** Changes that are not known to be announced, oldest first. */
  readonly pending: readonly PendingChanges[];
};

/** The changes of one turn. */
export type PendingChanges = {
  readonly atMs: number;
  readonly stamp: number;
  /** Undefined for those that are told to the member store only: it begins anew with a new version. */
  readonly cause: ChangeCause | undefined;
  readonly changes: readonly PendingChange[];
};

export type PendingChange = {
  /** The audience's. */
  readonly slot: number;
  readonly number: number;
  /** Of the audience's definition. */
  readonly version: number;
};

export const NOTHING_CALCULATED: Calculated = {
  version: 0,
  asOfMs: 0,
  alarmMs: 0,
  states: [],
  numbers: [],
  pending: [],
};

/** The plain field beside the attributes with the names of the audiences that the user is in; no attribute's name. */
export const AUDIENCES_FIELD = "$audiences";
