import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import { withoutPending } from "../../shared/domain/profile.ts";
import { encodeProfile } from "../../shared/domain/profile-record.ts";
import type { ProfileWrite, UserKey } from "../../shared/ports/profile-store.ts";
import type { Base, Fate, FoldedTurn } from "./fold-turn.ts";
import { profileWrite } from "./profile-write.ts";
import { effectsOf, type TurnEffects } from "./turn-effects.ts";

/**
 * What a folded turn leads to. Without the profiles that it comes from: they would outlive the save, and what outlives
 * something is dear for the garbage collector.
 */
export type TurnOutcome = {
  user: UserKey;
  fates: readonly Fate[];
  /** Undefined when there is nothing to save. */
  write: ProfileWrite | undefined;
  /** Undefined when nothing follows from the save. */
  effects: TurnEffects | undefined;
  /** Where `effects` tells what the profile has pending: what is left once it is told. */
  told: Told | undefined;
};

export type Told = {
  /** The profile's encoding without it. */
  machinery: string;
  /** Changes that the profile has pending. */
  carried: number;
};

/** @param version of the record that the turn was folded on; undefined where there was none. */
export function turnOutcome(
  user: UserKey,
  version: string | undefined,
  before: Base,
  fold: FoldedTurn,
  definitions: CompiledDefinitions,
): TurnOutcome {
  const write = profileWrite(user, version, before.profile, fold, definitions);
  const effects = effectsOf(user, before.profile, fold.profile, fold.fates, definitions);
  const told = write && effects?.told ? toldOf(fold) : undefined;
  return { user, fates: fold.fates, write, effects, told };
}

function toldOf({ profile, lastUpdate }: FoldedTurn): Told | undefined {
  const { calculated } = profile;
  if (!calculated || !lastUpdate) return undefined;
  return {
    machinery: encodeProfile(withoutPending(profile), lastUpdate),
    carried: calculated.pending.reduce((sum, { changes }) => sum + changes.length, 0),
  };
}
