/** The fleet's route in Redis; see route-script.ts for how it is kept. */
import type {
  AuditLine,
  FleetState,
  Override,
  RouteStore,
  SubscriptionVerdict,
} from "../../ports/route-store.ts";
import type { Path } from "../../ports/update-queue.ts";
import { initialFleetRoute, isLive } from "../../routing/fleet-decision.ts";
import { assertKeyPrefix } from "./profile-key.ts";
import { runCall, type Script } from "./redis-calls.ts";
import type { RedisConnection } from "./redis-connection.ts";
import {
  auditScript,
  clearOverrideScript,
  overrideScript,
  readScript,
  voteScript,
  withdrawScript,
} from "./route-script.ts";

export type RedisRouteStoreOptions = {
  /** Comes before each key; no braces. All keys share one hash tag. */
  keyPrefix: string;
  /** An operation without an answer for this long has failed; it may have been carried out. Default 1,000. */
  commandTimeoutMs?: number;
  /** Milliseconds since the epoch; for tests. Default: the clock of the Redis server. */
  clock?: () => number;
};

/**
 * `close` leaves the connection open; it is its opener's to close.
 * @throws KeylineError `bad_key_prefix`
 */
export function createRedisRouteStore(
  connection: RedisConnection,
  options: RedisRouteStoreOptions,
): RouteStore {
  const { keyPrefix, commandTimeoutMs = 1_000, clock } = options;
  assertKeyPrefix(keyPrefix);
  const keys = ["state", "votes", "audit"].map((name) => `${keyPrefix}{route}:${name}`);

  function run(script: Script, args: readonly (string | number)[]): Promise<unknown> {
    const call = {
      key: keys[0] ?? "",
      script,
      keyCount: keys.length,
      args: [...keys, clock?.() ?? "", ...args],
    };
    return runCall(connection, call, commandTimeoutMs);
  }

  async function change(script: Script, ...args: (string | number)[]): Promise<FleetState> {
    return toFleetState(await run(script, args));
  }

  return {
    vote: ({ voter, route, reason, subscription = "-" }, ttlMs) =>
      change(voteScript, voter, route, reason, ttlMs, subscription),
    async withdraw(voter) {
      await run(withdrawScript, [voter]).catch(() => undefined);
    },
    override: ({ route, reason, name, expiresInMs }) =>
      change(overrideScript, route, reason, name, expiresInMs),
    clearOverride: ({ reason, name }) => change(clearOverrideScript, reason, name),
    read: () => change(readScript),
    async audit(limit) {
      const entries = (await run(auditScript, [limit])) as [id: string, fields: string[]][];
      return entries.map(([, fields]) => toAuditLine(fields));
    },
    async close() {},
  };
}

function toFleetState(reply: unknown): FleetState {
  const [now, fields, flatVotes] = reply as [string, (string | null)[], string[]];
  const [route, sinceMs, ...override] = fields;
  const votes: FleetState["votes"] = [];
  for (let index = 0; index < flatVotes.length; index += 2) {
    const [, expiresAtMs, votedRoute, subscription, reason = ""] =
      /^(\d+) (\w+) (-|good|bad) (.*)$/s.exec(flatVotes[index + 1] ?? "") ?? [];
    const vote = {
      voter: flatVotes[index] ?? "",
      route: votedRoute as Path,
      reason,
      ...(subscription !== "-" && { subscription: subscription as SubscriptionVerdict }),
      expiresAtMs: Number(expiresAtMs),
    };
    if (isLive(vote, Number(now))) votes.push(vote);
  }
  votes.sort((a, b) => (a.voter < b.voter ? -1 : Number(a.voter > b.voter)));
  return {
    route: (route ?? initialFleetRoute.route) as Path,
    sinceMs: Number(sinceMs ?? initialFleetRoute.sinceMs),
    override: toOverride(override),
    votes,
  };
}

function toOverride(fields: (string | null)[]): Override | undefined {
  const [route, reason, name, setAtMs, expiresAtMs] = fields;
  if (route == null) return undefined;
  return {
    route: route as Path,
    reason: reason ?? "",
    name: name ?? "",
    setAtMs: Number(setAtMs),
    expiresAtMs: Number(expiresAtMs),
  };
}

function toAuditLine(fields: readonly string[]): AuditLine {
  const [, atMs, , action, , route, , name = "", , reason = "", , expiresAtMs] = fields;
  const line = { atMs: Number(atMs), name, reason };
  return {
    ...line,
    action: action as AuditLine["action"],
    route: route as AuditLine["route"],
    ...(expiresAtMs ? { expiresAtMs: Number(expiresAtMs) } : {}),
  };
}
