import { Counter, Gauge, type Registry } from "prom-client";

/** The SQS queues where messages wait for their Pulsar topic. */
export type WaitingQueue = "ledger" | "changes";

export type CompletionCounts = { completed: number; failed: number };

/** What is counted of messages that go from SQS to their Pulsar topic. */
export type CompletionMetrics = {
  /** A message of the queue is in its topic, or could not be published and is tried again. */
  completion(queue: WaitingQueue, what: keyof CompletionCounts): void;
  /** Since this process started. */
  completionCounts(queue: WaitingQueue): CompletionCounts;
};

export function createCompletionMetrics(registry: Registry): CompletionMetrics {
  const registers = [registry];
  const labelNames = ["queue"];
  const counters = {
    completed: new Counter({
      name: "keyline_completed_total",
      help: "Messages of the ledger queue and the changes queue that were published to their Pulsar topic",
      labelNames,
      registers,
    }),
    failed: new Counter({
      name: "keyline_completion_failures_total",
      help: "Messages of these queues that could not be published; they are tried again",
      labelNames,
      registers,
    }),
  };
  const counts = { ledger: { completed: 0, failed: 0 }, changes: { completed: 0, failed: 0 } };
  return {
    completion(queue, what) {
      counts[queue][what] += 1;
      counters[what].inc({ queue });
    },
    completionCounts: (queue) => ({ ...counts[queue] }),
  };
}

/** What waits is asked for when the metrics are, and so that SQS is asked four times a minute at most. */
const COUNT_EVERY_MS = 30_000;

/** @param waiting how many messages wait in each queue, as far as somebody asks. */
export function addWaitingGauge(
  registry: Registry,
  waiting: Partial<Record<WaitingQueue, () => Promise<number>>>,
): void {
  let askedAtMs = Number.NEGATIVE_INFINITY;
  new Gauge({
    name: "keyline_waiting_for_pulsar",
    help: "Messages of SQS in the ledger queue (each up to 100 updates) and the changes queue that wait for Pulsar, about; NaN when SQS does not say",
    labelNames: ["queue"],
    registers: [registry],
    async collect() {
      if (performance.now() - askedAtMs < COUNT_EVERY_MS) return;
      askedAtMs = performance.now();
      const asked = Object.entries(waiting).map(async ([queue, count]) =>
        this.set({ queue }, await count().catch(() => Number.NaN)),
      );
      await Promise.all(asked);
    },
  });
}
