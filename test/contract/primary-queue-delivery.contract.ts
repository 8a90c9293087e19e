import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { packText } from "../../shared/domain/pack.ts";
import type { Topic } from "../../shared/ports/primary-queue.ts";
import type { Delivery } from "../../shared/ports/update-queue.ts";
import {
  collect,
  keysNamed,
  messagesOf,
  numberOf,
  openConsumer,
  openProducer,
  payloadsOf,
  type QueueUnderTest,
  sendAll,
  until,
} from "./primary-queue-steps.ts";

/** What every primary queue promises to who reads from it. */
export function describeDelivery(name: string, open: () => Promise<QueueUnderTest>): void {
  describe(`${name}, delivery`, () => {
    let under: QueueUnderTest;
    let topic: Topic;

    beforeEach(async () => {
      under = await open();
      topic = await under.newTopic();
    });

    afterEach(async () => {
      await under.close();
    });

    it("has a message durably once the send has resolved", async () => {
      const producer = await openProducer(under.queue, topic);
      await sendAll(producer, [["ada", "hello"]]);
      await producer.close();
      const received = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      await until(() => expect(payloadsOf(received, "ada")).toEqual(["hello"]));
      expect(received[0]).toMatchObject({ path: "pulsar", sizeBytes: 5 });
    });

    it("keeps the messages of one key in order, over several connections", async () => {
      const keys = keysNamed("user", 10);
      const consumer = await openConsumer(under.queue, topic, { connections: 3 });
      const received = collect(consumer, { acknowledge: true });
      const messages = messagesOf(keys, 20);
      await sendAll(await openProducer(under.queue, topic), messages);
      await until(() => expect(received).toHaveLength(messages.length));
      for (const key of keys) {
        expect(payloadsOf(received, key)).toEqual(payloadsOf(messages.map(asDelivery), key));
      }
    });

    it("spreads the keys over the consumers, each key with one of them only", async () => {
      const first = collect(await openConsumer(under.queue, topic), { acknowledge: false });
      const second = collect(await openConsumer(under.queue, topic), { acknowledge: false });
      const keys = keysNamed("user", 60);
      await sendAll(await openProducer(under.queue, topic), messagesOf(keys, 3));
      await until(() => expect(first.length + second.length).toBe(180));
      for (const key of keys) {
        const counts = [payloadsOf(first, key).length, payloadsOf(second, key).length];
        expect(counts.toSorted((a, b) => a - b)).toEqual([0, 3]);
      }
      expect(Math.min(first.length, second.length)).toBeGreaterThan(18);
    });

    it("leaves a key where its messages are in flight when another consumer joins", async () => {
      const keys = keysNamed("user", 30);
      const producer = await openProducer(under.queue, topic);
      const first = collect(await openConsumer(under.queue, topic), { acknowledge: false });
      await sendAll(producer, messagesOf(keys, 1));
      await until(() => expect(first).toHaveLength(30));
      const second = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      await sendAll(producer, messagesOf(keysNamed("new", 60), 1));
      await sendAll(producer, messagesOf(keys, 1, 1));
      // The second one works: it has its share of the new keys; of the old ones it may have none.
      await until(() => expect(second.length).toBeGreaterThan(10));
      expect(second.filter((delivery) => delivery.key.startsWith("user"))).toEqual([]);
    });

    it("delivers again, in order and at the same position, what a consumer left unacknowledged", async () => {
      const keys = keysNamed("user", 3);
      const producer = await openProducer(under.queue, topic);
      const leaving = await openConsumer(under.queue, topic, { connections: 2 });
      const before = collect(leaving, { acknowledge: false });
      await sendAll(producer, messagesOf(keys, 10));
      await until(() => expect(before).toHaveLength(30));
      await leaving.acknowledge(before.filter(({ payload }) => numberOf(payload) < 4));
      await leaving.close();

      const after = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      await sendAll(producer, messagesOf(keys, 1, 10));
      await until(() => expect(after).toHaveLength(21));
      for (const key of keys) expect(payloadsOf(after, key).map(numberOf)).toEqual([4, 5, 6, 7, 8, 9, 10]);
      for (const again of after.filter(({ payload }) => numberOf(payload) < 10)) {
        const earlier = before.find(({ payload }) => payload === again.payload)!;
        expect(again.position).toEqual(earlier.position);
      }
    });

    it("gives each message of a partition a later position than the one before", async () => {
      const producer = await openProducer(under.queue, topic);
      const received = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      const sent = keysNamed("user", 60).map((key, index): [string, string] => [key, `message ${index}`]);
      await sendAll(producer, sent);
      await until(() => expect(received).toHaveLength(60));
      const partitions = Map.groupBy(received, ({ position }) => position!.partition);
      expect([...partitions.keys()].toSorted()).toEqual([0, 1, 2, 3]);
      for (const deliveries of partitions.values()) {
        const inOrderSent = deliveries.toSorted((a, b) => numberOf(a.payload) - numberOf(b.payload));
        const inOrderOfPosition = deliveries.toSorted(
          ({ position: a }, { position: b }) => a!.ledgerId - b!.ledgerId || a!.entryId - b!.entryId,
        );
        expect(inOrderOfPosition).toEqual(inOrderSent);
        expect(new Set(deliveries.map(({ position }) => JSON.stringify(position))).size).toBe(
          deliveries.length,
        );
      }
    });

    it("says when a message was sent", async () => {
      const producer = await openProducer(under.queue, topic);
      const received = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      const before = Date.now();
      await sendAll(producer, [["ada", "now"]]);
      const after = Date.now();
      await until(() => expect(received).toHaveLength(1));
      expect(received[0]!.publishTimeMs).toBeGreaterThanOrEqual(before - 1);
      expect(received[0]!.publishTimeMs).toBeLessThanOrEqual(after + 1);
    });

    it("keeps keys and payloads of any language as they are", async () => {
      const producer = await openProducer(under.queue, topic);
      const received = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      const key = 'acme:ключ-鍵-🔑 "quoted"\n';
      const payload = '{"имя":"Жанна","emoji":"🎉","quote":"\\"","text":"línea\nnueva\u0000"}';
      await sendAll(producer, [[key, payload]]);
      await until(() => expect(received).toHaveLength(1));
      expect(received[0]).toMatchObject({ key, payload, sizeBytes: Buffer.byteLength(payload) });
    });

    it("delivers a message of another producer as it is", async () => {
      const received = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      const payload = '{ "userId": 7,  "spaces": "kept" }';
      await under.publishForeign(topic, payload);
      await until(() => expect(received).toHaveLength(1));
      expect(received[0]).toMatchObject({ key: "", payload });
    });

    it("delivers each message of a pack under its own key, and all again until each is acknowledged", async () => {
      const producer = await openProducer(under.queue, topic);
      const messages = messagesOf(["ada", "grace", "ключ 🔑"], 3).map(([key, payload]) => ({ key, payload }));
      await sendAll(producer, [["group-0", packText(messages)]]);
      const leaving = await openConsumer(under.queue, topic);
      const before = collect(leaving, { acknowledge: false });
      await until(() => expect(before.map(({ key, payload }) => ({ key, payload }))).toEqual(messages));
      expect(new Set(before.map(({ position }) => JSON.stringify(position))).size).toBe(messages.length);
      await leaving.acknowledge(before.slice(1));
      await leaving.close();
      const staying = await openConsumer(under.queue, topic);
      const again = collect(staying, { acknowledge: true });
      await until(() =>
        expect(again.map(({ position }) => position)).toEqual(before.map(({ position }) => position)),
      );
      await staying.close();
      const after = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      await sendAll(producer, [["ada", "last"]]);
      await until(() => expect(after.map(({ payload }) => payload)).toEqual(["last"]));
    });

    it("resolves a waiting receive with none when the consumer closes", async () => {
      const consumer = await openConsumer(under.queue, topic);
      const waiting = consumer.receive(10);
      await consumer.close();
      expect(await waiting).toEqual([]);
      expect(await consumer.receive(10)).toEqual([]);
    });

    it("closes with the queue what was opened on it", async () => {
      const consumer = await openConsumer(under.queue, topic);
      const reader = under.queue.reader(topic);
      const producer = await openProducer(under.queue, topic);
      const waiting = [consumer.receive(10), reader.receive()];
      await under.queue.close();
      expect(await Promise.all(waiting)).toEqual([[], []]);
      await expect(sendAll(producer, [["ada", "late"]])).rejects.toMatchObject({
        code: "queue_not_connected",
      });
    });

    it("stops the flow at pause, and still acknowledges what was received before", async () => {
      const producer = await openProducer(under.queue, topic);
      const consumer = await openConsumer(under.queue, topic);
      const received = collect(consumer, { acknowledge: false });
      await sendAll(producer, [["ada", "before"]]);
      await until(() => expect(received).toHaveLength(1));
      consumer.pause();
      await sendAll(producer, [["ada", "after"]]);
      expect(await consumer.receive(10)).toEqual([]);
      await consumer.acknowledge(received);
      await consumer.close();
      const next = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      await until(() => expect(payloadsOf(next, "ada")).toEqual(["after"]));
    });

    it("holds at most maxPrefetched messages, and all arrive", async () => {
      const producer = await openProducer(under.queue, topic);
      await sendAll(producer, messagesOf(keysNamed("user", 40), 5));
      const consumer = await openConsumer(under.queue, topic, { connections: 2, maxPrefetched: 16 });
      const seen = new Set<string>();
      while (seen.size < 200) {
        const deliveries = await consumer.receive(1_000);
        expect(deliveries.length).toBeGreaterThan(0);
        expect(deliveries.length).toBeLessThanOrEqual(16);
        for (const { payload } of deliveries) seen.add(payload);
        await consumer.acknowledge(deliveries);
      }
    });

    it("takes at most as many messages at once as receive asks for", async () => {
      await sendAll(await openProducer(under.queue, topic), messagesOf(["ada"], 9));
      const consumer = await openConsumer(under.queue, topic);
      const payloads: string[] = [];
      while (payloads.length < 9) {
        const deliveries = await consumer.receive(2);
        expect(deliveries.length).toBeGreaterThan(0);
        expect(deliveries.length).toBeLessThanOrEqual(2);
        payloads.push(...deliveries.map(({ payload }) => payload));
      }
      expect(payloads.map(numberOf)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    });

    it("reads with a reader what comes after it opened, and nothing from before", async () => {
      const producer = await openProducer(under.queue, topic);
      await sendAll(producer, messagesOf(["before"], 5));
      const reader = under.queue.reader(topic);
      await until(() => expect(reader.connected()).toBe(true));
      const sent = messagesOf(keysNamed("after", 8), 1);
      await sendAll(producer, sent);
      const read: string[] = [];
      while (read.length < 8) {
        const payloads = await reader.receive();
        expect(payloads.length).toBeGreaterThan(0);
        read.push(...payloads);
      }
      expect(read.toSorted()).toEqual(sent.map(([, payload]) => payload).toSorted());
      await reader.close();
    });
  });
}

const asDelivery = ([key, payload]: [string, string]) => ({ key, payload }) as Delivery;
