/** Sequences of operations on a route store, for running two stores side by side. */
import fc from "fast-check";
import type { RouteStore, Vote } from "../../shared/ports/route-store.ts";

/** What a fleet does, one after another; `wait` moves the clock. */
export type RouteOperation =
  | { do: "wait"; ms: number }
  | {
      do: "vote";
      voter: string;
      route: "pulsar" | "sqs";
      reason: string;
      subscription?: NonNullable<Vote["subscription"]>;
      ttlMs: number;
    }
  | { do: "withdraw"; voter: string }
  | { do: "override"; route: "pulsar" | "sqs"; reason: string; name: string; expiresInMs: number }
  | { do: "clear"; reason: string; name: string }
  | { do: "read" };

const voter = fc.constantFrom("a", "b", "c", "d");
const route = fc.constantFrom("pulsar" as const, "sqs" as const);
const text = fc.string({ maxLength: 8 });
// Near the ends of votes, overrides and the window of openings, where rules go wrong.
const spanMs = fc.oneof(
  fc.nat(100),
  fc.constantFrom(999, 1_000, 1_001, 10_000, 29_999, 30_000, 59_999, 60_000, 60_001),
);

const vote = fc.record(
  {
    do: fc.constant("vote" as const),
    voter,
    route,
    reason: text,
    subscription: fc.constantFrom("good" as const, "bad" as const),
    ttlMs: spanMs,
  },
  { requiredKeys: ["do", "voter", "route", "reason", "ttlMs"] },
);
const wait = fc.record({ do: fc.constant("wait" as const), ms: spanMs });

export const arbitraryRouteOperations: fc.Arbitrary<RouteOperation[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: vote },
    { weight: 4, arbitrary: wait },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("withdraw" as const), voter }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("override" as const),
        route,
        reason: text,
        name: text,
        expiresInMs: spanMs,
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const), reason: text, name: text }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("read" as const) }) },
  ),
  { minLength: 1, maxLength: 80, size: "max" },
);

/** Does one operation. @returns what the store answers. */
export async function runRouteOperation(
  store: RouteStore,
  operation: Exclude<RouteOperation, { do: "wait" }>,
): Promise<unknown> {
  switch (operation.do) {
    case "vote": {
      const { do: _, ttlMs, ...cast } = operation;
      return store.vote(cast, ttlMs);
    }
    case "withdraw":
      return store.withdraw(operation.voter);
    case "override": {
      const { do: _, ...request } = operation;
      return store.override(request);
    }
    case "clear":
      return store.clearOverride({ reason: operation.reason, name: operation.name });
    case "read":
      return store.read();
  }
}
