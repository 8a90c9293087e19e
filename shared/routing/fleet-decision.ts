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
};

/** An opening counts against closing again for this long. */
export const openingWindowMs = 60_000;
/** The fleet does not close while this many openings count, and so never opens more often in one window. */
export const maxOpenings = 2;

export const initialFleetRoute: FleetRoute = { route: "pulsar", sinceMs: 0, openingsMs: [] };

export function isLive(vote: { expiresAtMs: number }, nowMs: number): boolean {
  return vote.expiresAtMs > nowMs;
}

/**
 * @param votes expired ones don't count.
 * @param reason what the vote that made the fleet count again gave as its reason, for the audit line.
 * @returns the fleet's route, and the line that says why when it moved.
 */
export function decideFleetRoute(
  state: FleetRoute,
  votes: Iterable<FleetVote>,
  nowMs: number,
  reason: string,
): { state: FleetRoute; moved: AuditLine | undefined } {
  const live = [...votes].filter((vote) => isLive(vote, nowMs));
  const forSqs = live.filter((vote) => vote.route === "sqs").length;
  const openingsMs = state.openingsMs.filter((openedMs) => nowMs - openedMs < openingWindowMs);
  const majority = forSqs * 2 > live.length;
  const opens = state.route === "pulsar" && majority;
  const closes = state.route === "sqs" && !majority && openingsMs.length < maxOpenings;
  if (!opens && !closes) return { state: { ...state, openingsMs }, moved: undefined };
  const route = opens ? "sqs" : "pulsar";
  return {
    state: { route, sinceMs: nowMs, openingsMs: opens ? [...openingsMs, nowMs] : openingsMs },
    moved: {
      atMs: nowMs,
      action: "fleet",
      route,
      name: "fleet",
      reason: `${forSqs} of ${live.length} votes for sqs: ${reason}`,
    },
  };
}

/** @returns the audit line of an override whose time has come; undefined while it stands. */
export function expireOverride(override: Override | undefined, nowMs: number): AuditLine | undefined {
  if (override === undefined || override.expiresAtMs > nowMs) return undefined;
  const { name, reason, expiresAtMs } = override;
  return { atMs: nowMs, action: "expire", route: "auto", name, reason, expiresAtMs };
}
