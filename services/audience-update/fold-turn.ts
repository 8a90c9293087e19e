import { type Applied, apply, type Outcome } from "../../shared/domain/apply.ts";
import type { FieldChanges } from "../../shared/domain/calculated-fields.ts";
import { type CompiledDefinitions, NO_DEFINITIONS } from "../../shared/domain/definitions/compile.ts";
import { type Update, updateId } from "../../shared/domain/envelope.ts";
import type { Profile } from "../../shared/domain/profile.ts";
import { encodeProfile, type LastUpdate } from "../../shared/domain/profile-record.ts";
import type { RetentionLimits } from "../../shared/domain/prune.ts";
import { type Refusal, refuse } from "../../shared/domain/refusal.ts";
import { stampTimeMs } from "../../shared/domain/stamp.ts";
import { toError } from "../../shared/runtime/errors.ts";

export type FoldLimits = RetentionLimits & {
  /** Longest encoded profile, in UTF-16 units. */
  maxProfileLength: number;
};

export type Arrival = { update: Update; path: string };

/** What became of one update of a turn. */
export type Fate =
  | { outcome: "counted" | "ticked" | "repeat"; stamp: number }
  | { outcome: "refused"; refusal: Refusal; stack?: string };

/** What a turn is folded on. */
export type Base = {
  profile: Profile;
  /** Undefined where the user has no record. */
  lastUpdate: LastUpdate | undefined;
};

export type FoldedTurn = Base & {
  /** The profile's encoding; undefined when there is nothing to save. */
  machinery: string | undefined;
  /** Plain fields of calculated attributes and audiences that changed. */
  fields: FieldChanges;
  /** `fields` holds all of them: the definitions are others than the profile had. */
  adopted: boolean;
  /** One for each of the first arrivals; those without one are to be folded by a later turn. */
  fates: Fate[];
};

/**
 * What one turn encodes at most where it is folded one by one, in UTF-16 units: for some tenths of a second. Else a
 * thousand updates of a user whose profile is full would hold up everybody for as many encodings of it.
 */
const MAX_ENCODED_ONE_BY_ONE = 8_000_000;

/** Folds the updates of one turn. Updates that can't apply are refused one by one and hold up no other. */
export function foldTurn(
  before: Base,
  arrivals: readonly Arrival[],
  limits: FoldLimits,
  nowMs: number,
  definitions: CompiledDefinitions = NO_DEFINITIONS,
): FoldedTurn {
  const setting = { limits, nowMs, definitions };
  const together = attempt(before, arrivals, setting);
  if ("folded" in together) return together.folded;
  let turn: FoldedTurn = { ...before, machinery: undefined, fields: NO_FIELDS, adopted: false, fates: [] };
  if (arrivals.length === 1) return { ...turn, fates: [refused(together)] };
  let encoded = together.encoded;
  for (const arrival of arrivals) {
    const alone = attempt(turn, [arrival], setting);
    if ("folded" in alone) {
      const { folded } = alone;
      turn = {
        ...folded,
        machinery: folded.machinery ?? turn.machinery,
        fields: new Map([...turn.fields, ...folded.fields]),
        adopted: turn.adopted || folded.adopted,
        fates: [...turn.fates, ...folded.fates],
      };
    } else turn.fates.push(refused(alone));
    encoded += "folded" in alone ? (alone.folded.machinery?.length ?? 0) : alone.encoded;
    if (encoded >= MAX_ENCODED_ONE_BY_ONE) break;
  }
  return turn;
}

const NO_FIELDS: FieldChanges = new Map();

type Setting = { limits: FoldLimits; nowMs: number; definitions: CompiledDefinitions };

/** An attempt that failed, with the length of what it encoded. */
type Failed = { refusal: Refusal; stack?: string; encoded: number };

function refused({ refusal, stack }: Failed): Fate {
  return stack === undefined ? { outcome: "refused", refusal } : { outcome: "refused", refusal, stack };
}

function attempt(
  before: Base,
  arrivals: readonly Arrival[],
  setting: Setting,
): { folded: FoldedTurn } | Failed {
  try {
    const updates = arrivals.map(({ update }) => update);
    const { limits, nowMs, definitions } = setting;
    return encode(before, arrivals, apply(before.profile, updates, limits, nowMs, definitions), setting);
  } catch (thrown) {
    const error = toError(thrown);
    const refusal = refuse("apply_failed", "", arrivals[0]?.update, error.message);
    return error.stack === undefined ? { refusal, encoded: 0 } : { refusal, stack: error.stack, encoded: 0 };
  }
}

function encode(
  before: Base,
  arrivals: readonly Arrival[],
  { profile, outcomes, fields, adopted }: Applied,
  { limits, nowMs }: Setting,
): { folded: FoldedTurn } | Failed {
  const fates = outcomes.map((outcome, index) => fateOf(outcome, arrivals[index]!.update));
  const counted = arrivals[outcomes.lastIndexOf("counted")];
  const lastUpdate = counted ? lastUpdateOf(counted, nowMs) : before.lastUpdate;
  if (profile === before.profile || lastUpdate === undefined)
    return { folded: { ...before, machinery: undefined, fields: NO_FIELDS, adopted: false, fates } };
  const machinery = encodeProfile(profile, lastUpdate);
  // What brings no news is not refused: it counted before.
  if (machinery.length <= limits.maxProfileLength || !counted)
    return { folded: { profile, lastUpdate, machinery, fields, adopted, fates } };
  const message = `the profile would be ${machinery.length} long, more than ${limits.maxProfileLength}`;
  return {
    refusal: refuse("profile_too_large", "", machinery.length, message),
    encoded: machinery.length,
  };
}

function fateOf(outcome: Outcome, update: Update): Fate {
  if (outcome !== "too_old_to_tell") return { outcome, stamp: update.stamp };
  const message = "older than what the profile remembers, so that a repeat can't be told from news";
  return { outcome: "refused", refusal: refuse("too_old_to_tell", "stamp", update.stamp, message) };
}

function lastUpdateOf({ update, path }: Arrival, nowMs: number): LastUpdate {
  const lagMs = Math.max(0, nowMs - stampTimeMs(update.stamp));
  return { id: updateId(update), at: update.at, path, appliedAtMs: nowMs, lagMs };
}
