import { randomUUID } from "node:crypto";
import type { PrimaryQueue, Topic } from "../ports/primary-queue.ts";
import { KeylineError, toError } from "../runtime/errors.ts";
import type { Signal } from "./signal.ts";

/** What became of one canary. */
export type CanaryResult = { latencyMs: number } | { error: Error };

/** Publishes canaries to one topic and reads them back. */
export type Canary = {
  /** Resolves when it is back, or with why it is not; never rejects. */
  fly(): Promise<CanaryResult>;
  connected(): boolean;
  close(): Promise<void>;
};

export type CanaryOptions = {
  primary: PrimaryQueue;
  topic: Topic;
  /** A canary that is not back within this time has failed. */
  timeoutMs: number;
  /** Called with how long a successful send took. */
  onSent(latencyMs: number): void;
  now(): number;
};

const MAX_PENDING = 100;

export function openCanary({ primary, topic, timeoutMs, onSent, now }: CanaryOptions): Canary {
  const producer = primary.producer({ topic, sendTimeoutMs: timeoutMs, maxPending: MAX_PENDING });
  const reader = primary.reader(topic);
  const awaited = new Map<string, () => void>();

  async function read(): Promise<void> {
    for (let payloads = await reader.receive(); payloads.length > 0; payloads = await reader.receive())
      for (const payload of payloads) awaited.get(payload)?.();
  }

  async function send(token: string): Promise<void> {
    const startedAtMs = now();
    await producer.send({ key: token, payload: token, deduplicationId: token });
    onSent(now() - startedAtMs);
  }

  void read();
  return {
    async fly() {
      const token = randomUUID();
      const { promise: back, resolve, reject } = Promise.withResolvers<void>();
      awaited.set(token, resolve);
      const timer = setTimeout(() => {
        const message = `a canary was not back after ${timeoutMs} ms`;
        reject(new KeylineError("canary_timeout", message, { retryable: true }));
      }, timeoutMs);
      const startedAtMs = now();
      try {
        await Promise.all([send(token), back]);
        return { latencyMs: now() - startedAtMs };
      } catch (thrown) {
        return { error: toError(thrown) };
      } finally {
        clearTimeout(timer);
        awaited.delete(token);
      }
    },
    connected: () => producer.connected() && reader.connected(),
    async close() {
      await reader.close();
      await producer.close();
    },
  };
}

/** One canary's result as a reading of its partition's signal. Pure. */
export function judgeCanary(partition: number, result: CanaryResult, timeoutMs: number): Signal {
  const failed = "error" in result;
  return {
    name: "canary",
    partition,
    value: failed ? null : result.latencyMs,
    unit: "ms",
    limit: timeoutMs,
    verdict: failed ? "bad" : "good",
    why: failed ? result.error.message : "publish to consume of the last canary",
  };
}
