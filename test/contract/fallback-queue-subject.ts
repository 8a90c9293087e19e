/** A fallback queue for each test of a suite, and how the tests use it. */
import { afterEach, beforeEach } from "vitest";
import type { Delivery, FallbackConsumer, Producer, UpdateQueue } from "../../shared/ports/update-queue.ts";

export type FallbackQueueSettings = {
  visibilityTimeoutSeconds?: number;
  maxPrefetched?: number;
  maxUnacknowledged?: number;
  maxPending?: number;
  maxBatchBytes?: number;
};

export type FallbackQueueSubject = {
  queue: UpdateQueue;
  /** Messages that consumers hold, as the broker counts them. */
  inFlightCount(): Promise<number>;
  close(): Promise<void>;
};

export type OpenFallbackQueue = (settings: FallbackQueueSettings) => Promise<FallbackQueueSubject>;

/** So long that nothing comes again by itself during a test. */
const visibilityTimeoutSeconds = 60;

/** Opens a queue before each test of the suite that calls it, and closes it after. */
export function useFallbackQueue(open: OpenFallbackQueue) {
  let subject: FallbackQueueSubject | undefined;
  let producer: Producer | undefined;
  let sent = 0;

  async function reopen(settings: FallbackQueueSettings): Promise<void> {
    await subject?.close();
    subject = await open({ visibilityTimeoutSeconds, ...settings });
    producer = subject.queue.producer();
  }

  beforeEach(() => reopen({}));
  afterEach(() => subject!.close());

  return {
    /** Another queue with other settings instead. */
    reopen,
    producer: () => producer!,
    consumer: () => subject!.queue.consumer(),
    inFlightCount: () => subject!.inFlightCount(),
    send: (key: string, payload: string, deduplicationId = `message ${++sent}`) =>
      producer!.send({ key, payload, deduplicationId }),
  };
}

/** Receives until there are `count`. */
export async function receive(
  consumer: FallbackConsumer,
  count: number,
  acknowledge = true,
): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  while (deliveries.length < count) {
    const some = await consumer.receive(count - deliveries.length);
    if (some.length === 0) throw new Error("the consumer was closed");
    deliveries.push(...some);
    if (acknowledge) await consumer.acknowledge(some);
  }
  return deliveries;
}

export function payloads(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ payload }) => payload);
}
