import type { PrimaryQueue, Topic } from "../ports/primary-queue.ts";
import type { Breaker } from "./breaker.ts";
import { type CanaryResult, judgeCanary, openCanary } from "./canaries.ts";
import type { Signal } from "./signal.ts";

export type HealthSamplerOptions = {
  primary: PrimaryQueue;
  /** A partitioned topic of its own, without retention: canaries are not history. */
  topic: Topic;
  /** Of that topic; each has its canaries. */
  partitions: number;
  breaker: Breaker;
  intervalMs: number;
  /** A canary that is not back within this time has failed. */
  timeoutMs: number;
  /** Samples start when Pulsar is connected, or after this time without. */
  startGraceMs: number;
  report(signal: Signal): void;
  /** Called with how long each canary's successful send took. */
  onSent(latencyMs: number): void;
  now(): number;
};

export type HealthSampler = {
  /**
   * How long the slowest of the last canaries took from publish to consume, in milliseconds; undefined when one
   * failed.
   */
  lastCanary(): { atMs: number; latencyMs: number | undefined; error: string | undefined } | undefined;
  close(): Promise<void>;
};

const CONNECTION_CHECK_MS = 20;

/**
 * Samples Pulsar's health from outside, as a client sees it: at each interval a canary is published to every
 * partition of a topic of its own and must come back to a reader. So an idle process notices an outage as
 * well, and an open breaker learns that it may close.
 *
 * To opossum a sample is one call, which failed when no canary came back. One dead partition among living ones
 * is the business of its own signal. An open breaker takes a sample for good when all came back.
 */
export function startHealthSampler(options: HealthSamplerOptions): HealthSampler {
  const { topic, partitions, breaker, timeoutMs, now } = options;
  const canaries = Array.from({ length: partitions }, (_, partition) =>
    openCanary({ ...options, topic: `${topic}-partition-${partition}` }),
  );
  const samples = new Set<Promise<void>>();
  const graceEndsMs = now() + options.startGraceMs;
  let last: ReturnType<HealthSampler["lastCanary"]>;
  let timer = setTimeout(begin, 0);

  for (let partition = 0; partition < partitions; partition += 1) {
    const signal = judgeCanary(partition, { latencyMs: 0 }, timeoutMs);
    options.report({ ...signal, value: null, verdict: "unknown", why: "no canary yet" });
  }

  async function sample(): Promise<void> {
    const results = await Promise.all(canaries.map((canary) => canary.fly()));
    const errors = results.flatMap((result) => ("error" in result ? result.error : []));
    const opened = breaker.verdict().route === "sqs";
    const error = opened || errors.length === partitions ? errors[0] : undefined;
    await breaker.sample(async () => {
      if (error) throw error;
    });
    for (const [partition, result] of results.entries())
      options.report(judgeCanary(partition, result, timeoutMs));
    last = { atMs: now(), latencyMs: slowest(results), error: errors[0]?.message };
  }

  // A canary does not wait for the one before: a stalled broker must fail as many as a healthy one answers.
  function startSample(): void {
    const sampling = sample().finally(() => samples.delete(sampling));
    samples.add(sampling);
  }

  function begin(): void {
    if (!canaries.every((canary) => canary.connected()) && now() < graceEndsMs) {
      timer = setTimeout(begin, CONNECTION_CHECK_MS);
      return;
    }
    startSample();
    timer = setInterval(startSample, options.intervalMs);
  }

  return {
    lastCanary: () => last,
    async close() {
      clearTimeout(timer);
      await Promise.all(samples);
      await Promise.all(canaries.map((canary) => canary.close()));
    },
  };
}

function slowest(results: readonly CanaryResult[]): number | undefined {
  const latencies = results.map((result) => ("error" in result ? undefined : result.latencyMs));
  return latencies.reduce((a, b) => (a === undefined || b === undefined ? undefined : Math.max(a, b)));
}
