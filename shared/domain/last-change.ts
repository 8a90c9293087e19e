import type { Standing } from "./definitions/tenant-definitions.ts";
import type { ChangeCause } from "./membership-change.ts";
import type { Profile } from "./profile.ts";

/** A user's last change in one audience. */
export type LastChange = {
  /** Odd entered, even left. */
  number: number;
  /**
   * Known until the user's next write after it was announced: then the profile keeps its number only. Milliseconds
   * since the epoch.
   */
  atMs?: number;
  cause?: ChangeCause;
};

/** Also of an audience that is disabled; undefined for a user who was never in. */
export function lastChangeIn(
  { calculated }: Profile,
  { slot: audienceSlot, generation }: Standing,
): LastChange | undefined {
  // What it has under this slot is of another audience, which the store has lost, where it is older: see own-slots.ts.
  if (!calculated || calculated.version < generation) return undefined;
  const { numbers, pending } = calculated;
  let number: number | undefined;
  for (let at = 0; at < numbers.length; at += 2) if (numbers[at] === audienceSlot) number = numbers[at + 1];
  if (number === undefined) return undefined;
  const told = pending.find(
    ({ cause, changes }) =>
      cause !== undefined &&
      changes.some((change) => change.slot === audienceSlot && change.number === number),
  );
  return told?.cause ? { number, atMs: told.atMs, cause: told.cause } : { number };
}
