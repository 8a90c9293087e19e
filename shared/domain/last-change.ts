import type { Standing } from "./definitions/tenant-definitions.ts";
import type { ChangeCause } from "./membership-change.ts";
import type { Profile } from "./profile.ts";

/** A user's last change in one audience. */
export type LastChange = {
  /** Odd entered, even left. */
  number: number;
  /** Null for a change that was announced: the profile keeps its number only. */
  atMs: number | null;
  cause: ChangeCause | null;
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
  return { number, atMs: told?.atMs ?? null, cause: told?.cause ?? null };
}
