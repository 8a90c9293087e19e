import { readNumbers, readStates } from "./calculation-workspace.ts";
import type { State } from "./definitions/aggregate.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";
import { createScope, type Scope, type UserState, withoutCosts } from "./definitions/scope.ts";
import { firstBucket } from "./definitions/window.ts";
import { entersAt } from "./membership-change.ts";
import { ownSlots } from "./own-slots.ts";
import type { Profile } from "./profile.ts";
import { stampTimeMs } from "./stamp.ts";

/** What readers see of the definitions in one profile. */
export type CalculatedView = {
  /** Milliseconds since the epoch. */
  asOfMs: number;
  /** The version of the definitions that the profile was folded with last. */
  version: number;
  /** Those that have a value, by name, as JSON has it. */
  attributes: Record<string, unknown>;
  /** Names of the audiences that the user is in, in rising order. */
  audiences: string[];
};

/**
 * A profile's part of the definitions, in their order; also where it was folded with others. Attributes are as of
 * `nowMs` where that is later than what the profile has: no tick comes for what no audience depends on.
 */
export function userStateOf(profile: Profile, definitions: CompiledDefinitions, nowMs = 0): UserState {
  const calculated = profile.calculated && ownSlots(profile.calculated, definitions);
  const states: (State | undefined)[] = new Array(definitions.attributes.length).fill(undefined);
  const numbers = new Float64Array(definitions.audiences.length);
  if (calculated) {
    readStates(calculated, definitions, states);
    readNumbers(calculated, definitions, numbers);
  }
  const asOfMs = Math.max(nowMs, calculated?.asOfMs ?? stampTimeMs(profile.lastStamp));
  definitions.attributes.forEach(({ event }, place) => {
    const state = states[place];
    if (state !== undefined && event?.window)
      states[place] = event.aggregate.expire(state, firstBucket(event.window, asOfMs), event.window);
  });
  return { profile, asOfMs, states, numbers };
}

/** One for all who read: to make a scope takes longer than to look through it. */
const SCOPES = new WeakMap<CompiledDefinitions, Scope>();

/** A scope that looks at this profile until another one is asked for. */
export function scopeOn(
  profile: Profile,
  definitions: CompiledDefinitions,
  nowMs = 0,
): { scope: Scope; user: UserState } {
  const user = userStateOf(profile, definitions, nowMs);
  const scope = SCOPES.get(definitions) ?? createScope(withoutCosts(definitions));
  SCOPES.set(definitions, scope);
  scope.look(user);
  return { scope, user };
}

export function calculatedView(
  profile: Profile,
  definitions: CompiledDefinitions,
  nowMs = 0,
): CalculatedView {
  const { scope, user } = scopeOn(profile, definitions, nowMs);
  const attributes: Record<string, unknown> = {};
  definitions.attributes.forEach(({ name }, place) => {
    const value = scope.attribute(place);
    if (value !== undefined) attributes[name] = value;
  });
  const audiences = definitions.audiences.flatMap(({ name }, place) =>
    entersAt(user.numbers[place] ?? 0) ? [name] : [],
  );
  return {
    asOfMs: user.asOfMs,
    version: profile.calculated?.version ?? 0,
    attributes,
    audiences: audiences.sort(),
  };
}
