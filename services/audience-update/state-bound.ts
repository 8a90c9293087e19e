/** How much of a profile the states of calculated attributes may be. */
import { type CompiledDefinitions, compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { type DefinitionProblem, isProblem, problem } from "../../shared/domain/definitions/problem.ts";
import type { TenantDefinitions } from "../../shared/domain/definitions/tenant-definitions.ts";
import type { Log } from "../../shared/runtime/log.ts";

type Settings = { maxProfileLength: number };

/** In characters. The profile's own attributes, and what it has seen, need the other half. */
export function maxStateLength({ maxProfileLength }: Settings): number {
  return Math.floor(maxProfileLength / 2);
}

/** What was saved under a larger bound may be changed to whatever needs no more than it does. */
export function tooMuchState(
  before: TenantDefinitions,
  compiled: CompiledDefinitions,
  max: number,
): DefinitionProblem | undefined {
  const { stateLength } = compiled;
  if (stateLength <= max) return undefined;
  const old = compileDefinitions(before, { before: compiled });
  if (!isProblem(old) && stateLength <= old.stateLength) return undefined;
  const message = `a user's state could be ${stateLength} characters long, more than ${max}, half of MAX_PROFILE_LENGTH: fewer or shorter lists, sets and windows`;
  return problem("definitions_too_large", "attributes", stateLength, message);
}

/** Such definitions are served all the same. */
export function warnOfState(
  tenant: string,
  { version, stateLength }: CompiledDefinitions,
  settings: Settings,
  log: Log,
): void {
  const max = maxStateLength(settings);
  if (stateLength <= max) return;
  const message = `definitions of ${tenant} were saved with a larger MAX_PROFILE_LENGTH: a user's state could be ${stateLength} characters long, more than ${max}, half of what a profile may be here; an update that would make a profile longer than that is parked`;
  log.warn({ tenant, version, stateLength, maxStateLength: max }, message);
}
