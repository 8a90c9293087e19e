/**
 * How the votes of a fleet's processes become one route. Pure; the Redis store implements the same rule in Lua,
 * and a property test runs both side by side.
 */
import type { AuditLine, Override, Vote } from "../ports/route-store.ts";
import type { Path } from "../ports/update-queue.ts";

export type FleetVote = Vote & { expiresAtMs: number };

export type FleetRoute = {
  route: Path;
  /** When the route last changed, milliseconds since the epoch; 0 when it never did. */
  sinceMs: number;
  /** When the fleet went from pulsar to sqs, within the last `openingWindowMs`. */
  openingsMs: readonly number[];
  /** When a vote was the first after none was live; 0 when there never was one. */
  heardSinceMs: number;
};

/** An opening counts against closing again for this long. */
export const openingWindowMs = 60_000;
/** The fleet does not close while this many openings count, and so never opens more often in one window. */
export const maxOpenings = 2;

export const initialFleetRoute: FleetRoute = { route: "pulsar", sinceMs: 0, openingsMs: [], heardSinceMs: 0 };

export function isLive(vote: { expiresAtMs: number }, nowMs: number): boolean {
  return vote.expiresAtMs > nowMs;
}

export type VoteCount = {
  all: number;
  forSqs: number;
  /** Those that see the subscription, and those of them that say it is bad. */
  watching: number;
  subscriptionBad: number;
};

export function countVotes(votes: readonly Vote[]): VoteCount {
  const count = (counts: (vote: Vote) => boolean) => votes.filter(counts).length;
  return {
    all: votes.length,
    forSqs: count(({ route }) => route === "sqs"),
    watching: count(({ subscription }) => subscription !== undefined),
    subscriptionBad: count(({ subscription }) => subscription === "bad"),
  };
}

/** What the subscription adds to a count in words. */
export function subscriptionInWords({ watching, subscriptionBad }: VoteCount): string {
  return subscriptionBad === 0 ? "" : `, ${subscriptionBad} of ${watching} consumers for the subscription`;
}

/**
 * Whoever is heard first after a silence (Redis was away, its data is lost, the fleet starts) would be the whole
 * majority; so the others get the time of one vote to be heard before the route moves.
 *
 * @param before the votes before the one that is cast now.
 */
export function hearVote(state: FleetRoute, before: Iterable<FleetVote>, nowMs: number): FleetRoute {
  for (const vote of before) if (isLive(vote, nowMs)) return state;
  return { ...state, heardSinceMs: nowMs };
}

/**
 * @param votes expired ones don't count.
 * @param ttlMs how long the vote counts that made the fleet count again.
 * @param reason what that vote gave as its reason, for the audit line.
 * @returns the fleet's route, and the line that says why when it moved.
 */
export function decideFleetRoute(
  state: FleetRoute,
  votes: Iterable<FleetVote>,
  nowMs: number,
  ttlMs: number,
  reason: string,
): { state: FleetRoute; moved: AuditLine | undefined } {
  const live = [...votes].filter((vote) => isLive(vote, nowMs));
  const count = countVotes(live);
  const openingsMs = state.openingsMs.filter((openedMs) => nowMs - openedMs < openingWindowMs);
  const majority = count.forSqs * 2 > count.all || count.subscriptionBad * 2 > count.watching;
  const heardForMs = nowMs - state.heardSinceMs;
  // A clock that was stepped back does not lengthen the rest.
  const rests = heardForMs >= 0 && heardForMs < ttlMs;
  const opens = state.route === "pulsar" && majority && !rests;
  const closes = state.route === "sqs" && !rests && !majority && openingsMs.length < maxOpenings;
  if (!opens && !closes) return { state: { ...state, openingsMs }, moved: undefined };
  const route = opens ? "sqs" : "pulsar";
  return {
    state: { ...state, route, sinceMs: nowMs, openingsMs: opens ? [...openingsMs, nowMs] : openingsMs },
    moved: {
      atMs: nowMs,
      action: "fleet",
      route,
      name: "fleet",
      reason: `${count.forSqs} of ${count.all} votes for sqs${subscriptionInWords(count)}: ${reason}`,
    },
  };
}

/** @returns the audit line of an override whose time has come; undefined while it stands. */
export function expireOverride(override: Override | undefined, nowMs: number): AuditLine | undefined {
  if (override === undefined || override.expiresAtMs > nowMs) return undefined;
  const { name, reason, expiresAtMs } = override;
  return { atMs: nowMs, action: "expire", route: "auto", name, reason, expiresAtMs };
}
