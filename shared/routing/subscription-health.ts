/** What the broker's own figures say about the subscription, beside what this process's workers do. Pure. */
import type { SubscriptionStats } from "../ports/subscription-stats.ts";
import type { Signal, Verdict } from "./signal.ts";

export type SubscriptionLimits = {
  /** The oldest unacknowledged message may be this old while the workers idle. */
  maxUnacknowledgedAgeMs: number;
  /** While messages wait and may be sent, nothing may come for this long. */
  stallMs: number;
};

/** Updates of this process from the primary queue: received and not settled, and received since its start. */
export type Workers = { inHand: number; received: number };

export type SubscriptionReading = {
  atMs: number;
  stats: SubscriptionStats;
  workers: Workers;
  /** Starts the names of this process's own consumers. */
  ownPrefix: string;
};

/** Since when nothing was delivered to anyone and the workers had nothing in hand. */
export type Quiet = { sinceMs: number; delivered: number; received: number };

export function quietAfter(
  before: Quiet | undefined,
  { atMs, stats: { delivered }, workers: { inHand, received } }: SubscriptionReading,
): Quiet {
  const still = before?.delivered === delivered && before.received === received && inHand === 0;
  return { sinceMs: still ? before.sinceMs : atMs, delivered, received };
}

/**
 * Bad only where nobody but the broker can be why messages wait: the workers here are idle, and no consumer
 * elsewhere holds messages, for those of its users wait for it.
 */
export function judgeSubscription(
  quiet: Quiet,
  reading: SubscriptionReading,
  limits: SubscriptionLimits,
): [oldestUnacknowledged: Signal, subscriptionStalled: Signal] {
  const { atMs, stats } = reading;
  const ageMs = stats.oldestPublishMs === undefined ? 0 : Math.max(0, atMs - stats.oldestPublishMs);
  const quietMs = stats.backlog === 0 ? 0 : atMs - quiet.sinceMs;
  const oldest = (verdict: Verdict, why: string) =>
    signalOf("oldest_unacknowledged", ageMs, limits.maxUnacknowledgedAgeMs, verdict, why);
  const stalled = (verdict: Verdict, why: string) =>
    signalOf("subscription_stalled", quietMs, limits.stallMs, verdict, why);

  const excuse = excuseFor(quiet, reading);
  if (excuse) return [oldest(excuse.verdict, excuse.why), stalled(excuse.verdict, excuse.why)];
  const waiting = `${stats.backlog} unacknowledged, the workers here idle`;
  const own = stats.consumers.filter(({ name }) => name.startsWith(reading.ownPrefix));
  const undelivered = stats.backlog - own.reduce((sum, { unacknowledged }) => sum + unacknowledged, 0);
  const permits = own.reduce((sum, consumer) => sum + Math.max(0, consumer.permits), 0);
  const reasonNotStalled =
    undelivered <= 0
      ? "all of the backlog is delivered"
      : permits === 0
        ? "no consumer here asks"
        : undefined;
  return [
    oldest(ageMs > limits.maxUnacknowledgedAgeMs ? "bad" : "good", waiting),
    reasonNotStalled
      ? stalled("good", reasonNotStalled)
      : stalled(
          quietMs > limits.stallMs ? "bad" : "good",
          `${undelivered} wait, ${permits} permits are free, nothing is delivered`,
        ),
  ];
}

/** Why messages may wait without the broker being sick. */
function excuseFor(
  quiet: Quiet,
  { atMs, stats, workers, ownPrefix }: SubscriptionReading,
): { verdict: Verdict; why: string } | undefined {
  if (stats.backlog === 0) return { verdict: "good", why: "nothing waits" };
  if (workers.inHand > 0) return { verdict: "good", why: `the workers have ${workers.inHand} in hand` };
  if (quiet.sinceMs === atMs) return { verdict: "good", why: "messages are delivered" };
  const held = stats.consumers.reduce(
    (sum, { name, unacknowledged }) => sum + (name.startsWith(ownPrefix) ? 0 : unacknowledged),
    0,
  );
  return held > 0 ? { verdict: "unknown", why: `consumers elsewhere hold ${held}` } : undefined;
}

/** Both signals, where the broker's figures can't be had. */
export function subscriptionUnknown(limits: SubscriptionLimits, why: string): [Signal, Signal] {
  return [
    signalOf("oldest_unacknowledged", null, limits.maxUnacknowledgedAgeMs, "unknown", why),
    signalOf("subscription_stalled", null, limits.stallMs, "unknown", why),
  ];
}

function signalOf(
  name: Signal["name"],
  value: number | null,
  limit: number,
  verdict: Verdict,
  why: string,
): Signal {
  return { name, value, unit: "ms", limit, verdict, why };
}
