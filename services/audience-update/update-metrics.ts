import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Priority } from "../../shared/domain/envelope.ts";
import type { DeadLetter } from "../../shared/ports/dead-letter.ts";
import type { Path } from "../../shared/ports/update-queue.ts";
import { type ChangeMetrics, createChangeMetrics } from "./change-metrics.ts";
import { type CompletionMetrics, createCompletionMetrics } from "./completion-metrics.ts";

/** What the service counts, for Prometheus; here what the update flow does. */
export type UpdateMetrics = ChangeMetrics &
  CompletionMetrics & {
    applied(outcome: "counted" | "ticked" | "repeat", path: Path, priority: Priority, lagMs: number): void;
    /** An update was over its user's limit. */
    overLimit(tenant: string, verdict: "skip" | "park"): void;
    parked(letter: DeadLetter): void;
    conflict(): void;
    storeFailure(): void;
    /** A copy of what came over SQS is durable in the ledger queue. */
    kept(): void;
    keptCount(): number;
    /** Distinct updates counted since this process started, by path. */
    counted(): Record<Path, number>;
    /** Also repeats and ticks. */
    settled(): Record<Path, number>;
  };

/** What the update flow has in hand. */
export type FlowCounts = {
  /** Keys with messages in hand; those of them that rest after a failure, and whose record can't be read. */
  users: number;
  resting: number;
  unreadable: number;
  /** In flight; those of them that are bulk, and how many of these there may be now. */
  messages: number;
  bulk: number;
  bulkWindow: number;
  bytes: number;
  cachedProfiles: number;
};

const LAG_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300];

/** `onCounted` is told of each update that counts, as the metrics are. */
export function createUpdateMetrics(
  registry: Registry,
  counts: () => FlowCounts,
  onCounted?: (priority: Priority, lagMs: number) => void,
): UpdateMetrics {
  const registers = [registry];
  const updates = new Counter({
    name: "keyline_updates_total",
    help: "Updates settled after the store's reply, by path, outcome and priority",
    labelNames: ["path", "outcome", "priority"],
    registers,
  });
  const lag = new Histogram({
    name: "keyline_publish_to_visible_seconds",
    help: "From an update's stamp to the store's reply",
    labelNames: ["path", "priority"],
    buckets: LAG_BUCKETS_SECONDS,
    registers,
  });
  const deadLetters = new Counter({
    name: "keyline_dead_letters_total",
    help: "Messages parked in the dead-letter topic, by reason",
    labelNames: ["reason", "path"],
    registers,
  });
  const overLimit = new Counter({
    name: "keyline_over_user_limit_total",
    help: "Updates over the limit of their user, which were skipped (or left out of a sample) or parked",
    labelNames: ["tenant", "verdict"],
    registers,
  });
  const conflicts = new Counter({
    name: "keyline_store_conflicts_total",
    help: "Saves that found another version in the store and were folded again",
    registers,
  });
  const failures = new Counter({
    name: "keyline_store_failures_total",
    help: "Saves that the store failed; they are tried again",
    registers,
  });
  for (const [count, { name, help }] of Object.entries(gauges)) {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(counts()[count as keyof FlowCounts]);
      },
    });
  }
  const kept = new Counter({
    name: "keyline_ledger_kept_total",
    help: "Copies of what came over SQS that became durable in the ledger queue",
    registers,
  });
  let keptCount = 0;
  const total: Record<Path, number> = { pulsar: 0, sqs: 0 };
  const settled: Record<Path, number> = { pulsar: 0, sqs: 0 };
  // Labels are looked up once, not once an update.
  const childrenOf = (path: Path, priority: Priority) => ({
    counted: updates.labels(path, "counted", priority),
    ticked: updates.labels(path, "ticked", priority),
    repeat: updates.labels(path, "repeat", priority),
    lag: lag.labels(path, priority),
  });
  const children = {
    pulsar: { live: childrenOf("pulsar", "live"), bulk: childrenOf("pulsar", "bulk") },
    sqs: { live: childrenOf("sqs", "live"), bulk: childrenOf("sqs", "bulk") },
  };
  return {
    applied(outcome, path, priority, lagMs) {
      const child = children[path][priority];
      child[outcome].inc();
      settled[path] += 1;
      if (outcome !== "counted") return;
      total[path] += 1;
      child.lag.observe(Math.max(0, lagMs) / 1000);
      onCounted?.(priority, lagMs);
    },
    overLimit: (tenant, verdict) => overLimit.inc({ tenant, verdict }),
    parked: ({ reason, via }) => deadLetters.inc({ reason, path: via }),
    conflict: () => conflicts.inc(),
    storeFailure: () => failures.inc(),
    kept() {
      keptCount += 1;
      kept.inc();
    },
    keptCount: () => keptCount,
    counted: () => ({ ...total }),
    settled: () => ({ ...settled }),
    ...createChangeMetrics(registry),
    ...createCompletionMetrics(registry),
  };
}

const gauges: Record<keyof FlowCounts, { name: string; help: string }> = {
  users: {
    name: "keyline_in_flight_users",
    help: "Keys with messages in hand; a key is a user, but for what others put on the topic",
  },
  resting: {
    name: "keyline_in_flight_resting",
    help: "Keys whose last save failed and is to be tried again",
  },
  unreadable: {
    name: "keyline_unreadable_profiles",
    help: "Users who wait, because their record in the store is of another build",
  },
  messages: {
    name: "keyline_in_flight_messages",
    help: "Messages received and not yet acknowledged",
  },
  bulk: { name: "keyline_in_flight_bulk_messages", help: "Of them, bulk" },
  bulkWindow: {
    name: "keyline_bulk_window",
    help: "Bulk messages that may be in flight now: few while live updates are late",
  },
  bytes: {
    name: "keyline_in_flight_bytes",
    help: "Bytes of the messages received and not yet acknowledged",
  },
  cachedProfiles: { name: "keyline_cached_profiles", help: "Profiles in the cache" },
};
