/** The route of a fleet that is one process: the embedded mode, and tests. */
import type { AuditLine, FleetState, Override, RouteStore } from "../../ports/route-store.ts";
import {
  decideFleetRoute,
  expireOverride,
  type FleetVote,
  hearVote,
  initialFleetRoute,
  isLive,
} from "../../routing/fleet-decision.ts";

export type MemoryRouteStoreOptions = {
  /** Milliseconds since the epoch. Default: the system clock. */
  now?: () => number;
  /** Lines of the audit log that are kept. Default 10,000. */
  maxAuditLines?: number;
};

export function createMemoryRouteStore(options: MemoryRouteStoreOptions = {}): RouteStore {
  const { now = Date.now, maxAuditLines = 10_000 } = options;
  const votes = new Map<string, FleetVote>();
  let lines: AuditLine[] = [];
  let fleet = initialFleetRoute;
  let override: Override | undefined;

  function audit(line: AuditLine | undefined): void {
    if (line === undefined) return;
    lines.push(line);
    if (lines.length >= 2 * maxAuditLines) lines = lines.slice(-maxAuditLines);
  }

  function begin(): number {
    const nowMs = now();
    const expired = expireOverride(override, nowMs);
    audit(expired);
    if (expired !== undefined) override = undefined;
    return nowMs;
  }

  function state(nowMs: number): FleetState {
    const live = [...votes.values()].filter((vote) => isLive(vote, nowMs)).sort(byVoter);
    return { route: fleet.route, sinceMs: fleet.sinceMs, override, votes: live };
  }

  return {
    async vote(vote, ttlMs) {
      const nowMs = begin();
      fleet = hearVote(fleet, votes.values(), nowMs);
      votes.set(vote.voter, { ...vote, expiresAtMs: nowMs + ttlMs });
      for (const [voter, cast] of votes) if (!isLive(cast, nowMs)) votes.delete(voter);
      const decision = decideFleetRoute(fleet, votes.values(), nowMs, ttlMs, vote.reason);
      fleet = decision.state;
      audit(decision.moved);
      return state(nowMs);
    },
    async withdraw(voter) {
      votes.delete(voter);
    },
    async override({ route, reason, name, expiresInMs }) {
      const nowMs = begin();
      const expiresAtMs = nowMs + expiresInMs;
      override = { route, reason, name, setAtMs: nowMs, expiresAtMs };
      audit({ atMs: nowMs, action: "override", route, name, reason, expiresAtMs });
      return state(nowMs);
    },
    async clearOverride({ reason, name }) {
      const nowMs = begin();
      override = undefined;
      audit({ atMs: nowMs, action: "clear", route: "auto", name, reason });
      return state(nowMs);
    },
    async read() {
      return state(begin());
    },
    async audit(limit) {
      begin();
      return lines.slice(-maxAuditLines).reverse().slice(0, limit);
    },
    async close() {
      votes.clear();
    },
  };
}

function byVoter(a: { voter: string }, b: { voter: string }): number {
  return a.voter < b.voter ? -1 : Number(a.voter > b.voter);
}
