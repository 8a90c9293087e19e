import type { Path } from "../../shared/ports/update-queue.ts";
import type { BreakerState } from "../../shared/routing/breaker.ts";

/** The way of one outage, from breaking Pulsar to being back on it. What has not happened yet is undefined. */
export type Failover = {
  brokenAtMs: number;
  breakerOpenedAtMs?: number;
  onSqsAtMs?: number;
  healedAtMs?: number;
  breakerClosedAtMs?: number;
  backOnPulsarAtMs?: number;
} & FailoverTotals;

/** Within an outage: since Pulsar was broken. */
export type FailoverTotals = {
  /** Updates that Pulsar did not take in time and SQS did. */
  rescued: number;
  /** Updates that went over SQS, these included. */
  overSqs: number;
  /** Second copies that arrived and were dropped. */
  repeats: number;
};

export type FailoverFacts = {
  breaker: Pick<BreakerState, "state" | "sinceMs">;
  path: Path;
  pathSinceMs: number;
  /** Since the process started. */
  totals: FailoverTotals;
};

export type FailoverWatch = {
  broken(atMs: number, totals: FailoverTotals): void;
  healed(atMs: number): void;
  observe(facts: FailoverFacts): void;
  /** The outage of now, or the last one. */
  latest(): Failover | undefined;
};

export function createFailoverWatch(): FailoverWatch {
  let failover: Failover | undefined;
  let before: FailoverTotals = { rescued: 0, overSqs: 0, repeats: 0 };

  return {
    broken(atMs, totals) {
      before = { ...totals };
      failover = { brokenAtMs: atMs, rescued: 0, overSqs: 0, repeats: 0 };
    },
    healed(atMs) {
      if (failover) failover.healedAtMs ??= atMs;
    },
    observe({ breaker, path, pathSinceMs, totals }) {
      if (!failover || failover.backOnPulsarAtMs !== undefined) return;
      // The breaker may be open from the outage before.
      const since = (atMs: number) => Math.max(atMs, failover!.brokenAtMs);
      if (breaker.state === "open") failover.breakerOpenedAtMs ??= since(breaker.sinceMs);
      else if (failover.breakerOpenedAtMs !== undefined) failover.breakerClosedAtMs ??= breaker.sinceMs;
      if (path === "sqs") failover.onSqsAtMs ??= since(pathSinceMs);
      else if (failover.onSqsAtMs !== undefined && failover.breakerClosedAtMs !== undefined)
        failover.backOnPulsarAtMs = pathSinceMs;
      failover.rescued = totals.rescued - before.rescued;
      failover.overSqs = totals.overSqs - before.overSqs;
      failover.repeats = totals.repeats - before.repeats;
    },
    latest: () => failover && { ...failover },
  };
}
