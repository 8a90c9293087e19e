import type { Calculated, PendingChange, PendingChanges } from "./calculated.ts";
import type { ChangeCause } from "./membership-change.ts";

/** What a profile's record has for `calculated`: flat lists without names. */
export type CalculatedRecord = [
  /** version, asOfMs, alarmMs */
  head: [number, number, number],
  states: Calculated["states"],
  numbers: Calculated["numbers"],
  pending: PendingRecord[],
];

/** Then of each change slot, number, version. */
type PendingRecord = [atMs: number, stamp: number, cause: string | number, ...changes: number[]];

/** An update is written as its id. */
const CAUSES = { none: 0, time: 1, definition: 2 } as const;

export function encodeCalculated(calculated: Calculated): CalculatedRecord {
  const { version, asOfMs, alarmMs, states, numbers, pending } = calculated;
  return [[version, asOfMs, alarmMs], states, numbers, pending.map(encodePending)];
}

export function decodeCalculated([head, states, numbers, pending]: CalculatedRecord): Calculated {
  const [version, asOfMs, alarmMs] = head;
  return { version, asOfMs, alarmMs, states, numbers, pending: pending.map(decodePending) };
}

function encodePending({ atMs, stamp, cause, changes }: PendingChanges): PendingRecord {
  const written = cause?.kind === "update" ? cause.id : CAUSES[cause?.kind ?? "none"];
  return [atMs, stamp, written, ...changes.flatMap(({ slot, number, version }) => [slot, number, version])];
}

function decodePending([atMs, stamp, written, ...flat]: PendingRecord): PendingChanges {
  const changes: PendingChange[] = [];
  for (let at = 0; at < flat.length; at += 3)
    changes.push({ slot: flat[at]!, number: flat[at + 1]!, version: flat[at + 2]! });
  return { atMs, stamp, cause: causeOf(written), changes };
}

function causeOf(written: string | number): ChangeCause | undefined {
  if (typeof written === "string") return { kind: "update", id: written };
  if (written === CAUSES.none) return undefined;
  return { kind: written === CAUSES.time ? "time" : "definition" };
}
