import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Topic } from "../../shared/ports/primary-queue.ts";
import type { Delivery } from "../../shared/ports/update-queue.ts";
import {
  collect,
  keysNamed,
  messagesOf,
  openConsumer,
  openProducer,
  type QueueUnderTest,
  sendAll,
  until,
} from "./primary-queue-steps.ts";

/** What a consumer that wants a subscription for itself is promised. */
export function describeExclusive(name: string, open: () => Promise<QueueUnderTest>): void {
  describe(`${name}, exclusive`, () => {
    let under: QueueUnderTest;
    let topic: Topic;

    beforeEach(async () => {
      under = await open();
      topic = await under.newTopic();
    });

    afterEach(async () => {
      await under.close();
    });

    it("has each partition's messages in their order, whatever their keys", async () => {
      const messages = messagesOf(keysNamed("user", 20), 5);
      await sendAll(await openProducer(under.queue, topic), messages);
      const received = collect(await openConsumer(under.queue, topic, { exclusive: true, connections: 4 }), {
        acknowledge: true,
      });
      await until(() => expect(received).toHaveLength(100));
      expect(namesByPartition(received)).toEqual(namesByPartition(inOrderSent(received, messages)));
    });

    it("keeps the next one waiting until it leaves, which then has what was not acknowledged", async () => {
      const messages = messagesOf(keysNamed("user", 10), 2);
      await sendAll(await openProducer(under.queue, topic), messages);
      const first = await openConsumer(under.queue, topic, { exclusive: true });
      const second = under.queue.consumer({
        topic,
        subscription: "keyline",
        exclusive: true,
        connections: 1,
        maxPrefetched: 5,
      });
      const before = collect(first, { acknowledge: false });
      const after = collect(second, { acknowledge: true });
      await until(() => expect(before).toHaveLength(20));
      expect([second.connected(), after.length]).toEqual([false, 0]);

      const acknowledged = before.filter((_, index) => index % 3 === 1);
      const rest = before.filter((_, index) => index % 3 !== 1);
      await first.acknowledge(acknowledged);
      await first.close();
      await until(() => expect(after).toHaveLength(rest.length));
      expect(second.connected()).toBe(true);
      expect(namesByPartition(after)).toEqual(namesByPartition(rest));
    });

    it("and Key_Shared consumers do not share a subscription", async () => {
      const alone = await openConsumer(under.queue, topic, { exclusive: true });
      const sharing = under.queue.consumer({
        topic,
        subscription: "keyline",
        connections: 2,
        maxPrefetched: 10,
      });
      const received = collect(alone, { acknowledge: true });
      await sendAll(await openProducer(under.queue, topic), messagesOf(keysNamed("user", 10), 1));
      await until(() => expect(received).toHaveLength(10));
      expect(sharing.connected()).toBe(false);
      await alone.close();
      await until(() => expect(sharing.connected()).toBe(true));
    });
  });
}

function inOrderSent(received: readonly Delivery[], messages: readonly [string, string][]): Delivery[] {
  return messages.map(([, payload]) => received.find((delivery) => delivery.payload === payload)!);
}

function namesByPartition(deliveries: readonly Delivery[]): [number, string[]][] {
  const partitions = Map.groupBy(deliveries, ({ position }) => position!.partition);
  return [...partitions]
    .map(([partition, those]): [number, string[]] => [partition, those.map(({ payload }) => payload)])
    .toSorted(([a], [b]) => a - b);
}
