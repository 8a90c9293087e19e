import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { PrimaryQueue, Topic } from "../ports/primary-queue.ts";
import { KeylineError } from "../runtime/errors.ts";
import type { Breaker } from "./breaker.ts";

export type HealthSamplerOptions = {
  primary: PrimaryQueue;
  /** A topic of its own, without retention: canaries are not history. */
  topic: Topic;
  breaker: Breaker;
  intervalMs: number;
  /** A canary that is not back within this time is a failed call. */
  timeoutMs: number;
  /** Samples start when Pulsar is connected, or after this time without. */
  startGraceMs: number;
  now(): number;
};

export type HealthSampler = {
  /** How long the last canary took from publish to consume, in milliseconds; undefined when it failed. */
  lastCanary(): { atMs: number; latencyMs: number | undefined; error: string | undefined } | undefined;
  close(): Promise<void>;
};

/**
 * Samples Pulsar's health from outside, as a client sees it: a canary is published to a topic of its own and
 * must come back to a reader. So an idle process notices an outage as well, and an open breaker learns that
 * it may close.
 */
export function startHealthSampler(options: HealthSamplerOptions): HealthSampler {
  const { primary, topic, breaker, timeoutMs, now } = options;
  const producer = primary.producer({ topic, sendTimeoutMs: timeoutMs, maxPending: 100 });
  const reader = primary.reader(topic);
  const awaited = new Map<string, () => void>();
  const samples = new Set<Promise<void>>();
  const stopping = new AbortController();
  let last: ReturnType<HealthSampler["lastCanary"]>;

  async function read(): Promise<void> {
    for (let payloads = await reader.receive(); payloads.length > 0; payloads = await reader.receive())
      for (const payload of payloads) awaited.get(payload)?.();
  }

  async function canary(): Promise<void> {
    const token = randomUUID();
    const { promise: back, resolve, reject } = Promise.withResolvers<void>();
    awaited.set(token, resolve);
    const timer = setTimeout(() => {
      const message = `a canary was not back after ${timeoutMs} ms`;
      reject(new KeylineError("canary_timeout", message, { retryable: true }));
    }, timeoutMs);
    try {
      await Promise.all([producer.send({ key: token, payload: token, deduplicationId: token }), back]);
    } finally {
      clearTimeout(timer);
      awaited.delete(token);
    }
  }

  async function sample(): Promise<void> {
    const startedAtMs = now();
    const error = await breaker.sample(canary);
    const latencyMs = error ? undefined : now() - startedAtMs;
    last = { atMs: now(), latencyMs, error: error?.message };
  }

  async function run(): Promise<void> {
    const { signal } = stopping;
    const graceEndsMs = now() + options.startGraceMs;
    while (!(producer.connected() && reader.connected()) && now() < graceEndsMs && !signal.aborted)
      await sleep(20, undefined, { signal });
    // A canary does not wait for the one before: a stalled broker must fail as many as a healthy one answers.
    while (!signal.aborted) {
      const sampling = sample().finally(() => samples.delete(sampling));
      samples.add(sampling);
      await sleep(options.intervalMs, undefined, { signal });
    }
  }

  void read();
  const running = run().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  return {
    lastCanary: () => last,
    async close() {
      stopping.abort();
      await running;
      await Promise.all(samples);
      await reader.close();
      await producer.close();
    },
  };
}
