import { type Applied, apply, type Outcome } from "../../shared/domain/apply.ts";
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
  | { outcome: "counted" | "repeat"; stamp: number }
  | { outcome: "refused"; refusal: Refusal; stack?: string };

export type FoldedTurn = {
  profile: Profile;
  /** The profile's encoding; undefined when there is nothing to save. */
  machinery: string | undefined;
  fates: Fate[];
};

/** Folds the updates of one turn. Updates that can't apply are refused one by one and hold up no other. */
export function foldTurn(
  before: Profile,
  arrivals: readonly Arrival[],
  limits: FoldLimits,
  nowMs: number,
): FoldedTurn {
  const together = attempt(before, arrivals, limits, nowMs);
  if ("folded" in together) return together.folded;
  if (arrivals.length === 1)
    return { profile: before, machinery: undefined, fates: [{ outcome: "refused", ...together }] };
  return arrivals.reduce<FoldedTurn>(
    (turn, arrival) => {
      const next = foldTurn(turn.profile, [arrival], limits, nowMs);
      return { ...next, machinery: next.machinery ?? turn.machinery, fates: [...turn.fates, ...next.fates] };
    },
    { profile: before, machinery: undefined, fates: [] },
  );
}

type Attempt = { folded: FoldedTurn } | { refusal: Refusal; stack?: string };

function attempt(before: Profile, arrivals: readonly Arrival[], limits: FoldLimits, nowMs: number): Attempt {
  try {
    const updates = arrivals.map(({ update }) => update);
    return encode(before, arrivals, apply(before, updates, limits, nowMs), limits, nowMs);
  } catch (thrown) {
    const error = toError(thrown);
    const refusal = refuse("apply_failed", "", arrivals[0]?.update, error.message);
    return error.stack === undefined ? { refusal } : { refusal, stack: error.stack };
  }
}

function encode(
  before: Profile,
  arrivals: readonly Arrival[],
  { profile, outcomes }: Applied,
  limits: FoldLimits,
  nowMs: number,
): Attempt {
  const fates = outcomes.map((outcome, index) => fateOf(outcome, arrivals[index]!.update));
  if (profile === before) return { folded: { profile, machinery: undefined, fates } };
  const machinery = encodeProfile(profile, lastUpdate(arrivals, outcomes, nowMs));
  if (machinery.length <= limits.maxProfileLength) return { folded: { profile, machinery, fates } };
  const message = `the profile would be ${machinery.length} long, more than ${limits.maxProfileLength}`;
  return { refusal: refuse("profile_too_large", "", machinery.length, message) };
}

function fateOf(outcome: Outcome, update: Update): Fate {
  if (outcome !== "too_old_to_tell") return { outcome, stamp: update.stamp };
  const message = "older than what the profile remembers, so that a repeat can't be told from news";
  return { outcome: "refused", refusal: refuse("too_old_to_tell", "stamp", update.stamp, message) };
}

function lastUpdate(arrivals: readonly Arrival[], outcomes: readonly Outcome[], nowMs: number): LastUpdate {
  const { update, path } = arrivals[Math.max(0, outcomes.lastIndexOf("counted"))]!;
  const lagMs = Math.max(0, nowMs - stampTimeMs(update.stamp));
  return { id: updateId(update), at: update.at, path, appliedAtMs: nowMs, lagMs };
}
