/** When a membership changes if nothing happens but that time passes. */
import { userStateOf } from "./calculated-view.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";
import { attributeDueMs, flipMs } from "./definitions/next-due.ts";
import { createScope, withoutCosts } from "./definitions/scope.ts";
import { entersAt } from "./membership-change.ts";
import type { Profile } from "./profile.ts";

export type TimeAlone =
  | { changes: "at"; atMs: number; to: "in" | "out" }
  | { changes: "never" }
  /** There are many moments at which it might, and it has not by this one. */
  | { changes: "not before"; atMs: number };

const MAX_STEPS = 500;

/** Goes from one moment at which something may change to the next, as ticks would. */
export function changeByTimeAlone(
  profile: Profile,
  definitions: CompiledDefinitions,
  /** The audience's place, and those of all that it reads in turn, in the order of `definitions`. */
  { place, attributes, audiences }: { place: number; attributes: number[]; audiences: number[] },
  nowMs: number,
): TimeAlone {
  const scope = createScope(withoutCosts(definitions));
  const { numbers, asOfMs } = userStateOf(profile, definitions, nowMs);
  const known = numbers as Float64Array;
  let atMs = asOfMs;
  const lookAt = (momentMs: number) => {
    const user = { ...userStateOf(profile, definitions, momentMs), numbers: known };
    scope.look(user);
    for (const each of [...audiences, place]) {
      const member = scope.isMember(each);
      if (member !== undefined && member !== entersAt(known[each]!)) known[each] = known[each]! + 1;
    }
    return user;
  };
  let user = lookAt(atMs);
  const begunIn = entersAt(known[place]!);
  for (let step = 0; step < MAX_STEPS; step += 1) {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const each of attributes) {
      const state = user.states[each];
      if (state !== undefined)
        dueMs = Math.min(dueMs, attributeDueMs(definitions.attributes[each]!, state, atMs));
    }
    for (const each of [...audiences, place])
      dueMs = Math.min(dueMs, flipMs(definitions.audiences[each]!, scope, atMs));
    if (dueMs === Number.POSITIVE_INFINITY) return { changes: "never" };
    atMs = dueMs;
    user = lookAt(atMs);
    const isIn = entersAt(known[place]!);
    if (isIn !== begunIn) return { changes: "at", atMs, to: isIn ? "in" : "out" };
  }
  return { changes: "not before", atMs };
}
