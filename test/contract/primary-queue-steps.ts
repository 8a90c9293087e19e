import { expect, vi } from "vitest";
import type {
  ConsumerOptions,
  PrimaryQueue,
  ProducerOptions,
  Topic,
} from "../../shared/ports/primary-queue.ts";
import type { Consumer, Delivery, Producer } from "../../shared/ports/update-queue.ts";

/** An adapter with what the contract needs around it. */
export type QueueUnderTest = {
  queue: PrimaryQueue;
  /** A topic of its own with four partitions. */
  newTopic(): Promise<Topic>;
  /** Publishes as somebody who knows nothing of our adapters: no key, the payload as it is. */
  publishForeign(topic: Topic, payload: string): Promise<void>;
  /** The broker is there and does not answer; `restore` ends it. */
  stall(): void;
  restore(): void;
  close(): Promise<void>;
};

/** Waits are for conditions; this is only when to give up. */
export const GIVE_UP_MS = 15_000;

export const until = (condition: () => void) => vi.waitFor(condition, { timeout: GIVE_UP_MS, interval: 10 });

export async function openProducer(
  queue: PrimaryQueue,
  topic: Topic,
  options: Partial<ProducerOptions> = {},
): Promise<Producer> {
  const producer = queue.producer({ topic, sendTimeoutMs: 5_000, maxPending: 1_000, ...options });
  await until(() => expect(producer.connected()).toBe(true));
  return producer;
}

export async function openConsumer(
  queue: PrimaryQueue,
  topic: Topic,
  options: Partial<ConsumerOptions> = {},
): Promise<Consumer> {
  const consumer = queue.consumer({
    topic,
    subscription: "keyline",
    connections: 1,
    maxPrefetched: 1_000,
    holdsPacks: true,
    ...options,
  });
  await until(() => expect(consumer.connected()).toBe(true));
  return consumer;
}

/** Sends one after the other, so that the order of the topic is known. */
export async function sendAll(
  producer: Producer,
  messages: readonly (readonly [key: string, payload: string])[],
) {
  for (const [key, payload] of messages) await producer.send({ key, payload, deduplicationId: payload });
}

/** Everything that a consumer receives from now on, acknowledged or not. */
export function collect(consumer: Consumer, options: { acknowledge: boolean }): Delivery[] {
  const collected: Delivery[] = [];
  void (async () => {
    for (;;) {
      const deliveries = await consumer.receive(1_000);
      if (deliveries.length === 0) return;
      collected.push(...deliveries);
      if (options.acknowledge) await consumer.acknowledge(deliveries);
    }
  })();
  return collected;
}

export const payloadsOf = (deliveries: readonly Delivery[], key: string) =>
  deliveries.filter((delivery) => delivery.key === key).map((delivery) => delivery.payload);

/** `keys` times `each` messages, the keys taking turns; the payload says its key and number. */
export function messagesOf(keys: readonly string[], each: number, from = 0): [string, string][] {
  return Array.from({ length: each }).flatMap((_, index) =>
    keys.map((key): [string, string] => [key, `${key} ${from + index}`]),
  );
}

export const keysNamed = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** The number at the end of a payload of `messagesOf`. */
export const numberOf = (payload: string) => Number(payload.split(" ")[1]);
