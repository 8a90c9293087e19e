import { readNumbers, readStates } from "./calculate.ts";
import type { State } from "./definitions/aggregate.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";
import { createScope, type Scope, type UserState } from "./definitions/scope.ts";
import { entersAt } from "./membership-change.ts";
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

/** A profile's part of the definitions, in their order; also where it was folded with others. */
export function userStateOf(profile: Profile, definitions: CompiledDefinitions): UserState {
  const { calculated } = profile;
  const states: (State | undefined)[] = new Array(definitions.attributes.length).fill(undefined);
  const numbers = new Float64Array(definitions.audiences.length);
  if (calculated) {
    readStates(calculated, definitions, states);
    readNumbers(calculated, definitions, numbers);
  }
  const asOfMs = calculated?.asOfMs ?? stampTimeMs(profile.lastStamp);
  return { profile, asOfMs, states, numbers };
}

/** A scope of the caller's own that looks at this profile, as it is kept. */
export function scopeOn(
  profile: Profile,
  definitions: CompiledDefinitions,
): { scope: Scope; user: UserState } {
  const user = userStateOf(profile, definitions);
  const scope = createScope({ ...definitions, clockMs: undefined });
  scope.look(user);
  return { scope, user };
}

export function calculatedView(profile: Profile, definitions: CompiledDefinitions): CalculatedView {
  const { scope, user } = scopeOn(profile, definitions);
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
