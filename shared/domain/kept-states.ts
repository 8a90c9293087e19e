import type { Calculated } from "./calculated.ts";
import type { Workspace } from "./calculation-workspace.ts";
import type { State } from "./definitions/aggregate.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";

/** The states of a turn as the profile keeps them; the list from before where they differ in single places only. */
export function keptStates(
  { states, positions, changed }: Workspace,
  { attributes, version }: CompiledDefinitions,
  base: Calculated,
): Calculated["states"] {
  const isSame = base.version === version;
  if (isSame && changed.every((place) => positions[place]! > 0 && states[place] !== undefined)) {
    const kept = base.states.slice();
    for (const place of changed) kept[positions[place]!] = states[place]!;
    return kept;
  }
  const kept: (number | State)[] = [];
  for (let place = 0; place < states.length; place += 1) {
    const state = states[place];
    if (state !== undefined) kept.push(attributes[place]!.standing.slot, state);
  }
  return kept;
}
