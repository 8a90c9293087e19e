/** What every fallback queue does. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Delivery, FallbackConsumer, Producer, UpdateQueue } from "../../shared/ports/update-queue.ts";

export type FallbackQueueSettings = {
  visibilityTimeoutSeconds?: number;
  maxPrefetched?: number;
  maxUnacknowledged?: number;
  maxPending?: number;
};

export type FallbackQueueSubject = {
  queue: UpdateQueue;
  /** Messages that consumers hold, as the broker counts them. */
  inFlightCount(): Promise<number>;
  close(): Promise<void>;
};

/** So long that nothing comes again by itself during a test. */
const visibilityTimeoutSeconds = 60;
const wait = { timeout: 20_000, interval: 20 };

export function describeFallbackQueue(
  name: string,
  open: (settings: FallbackQueueSettings) => Promise<FallbackQueueSubject>,
): void {
  describe(`fallback queue: ${name}`, () => {
    let subject: FallbackQueueSubject;
    let producer: Producer;

    beforeEach(async () => {
      await reopen({});
    });

    afterEach(async () => {
      await subject.close();
    });

    async function reopen(settings: FallbackQueueSettings): Promise<void> {
      await subject?.close();
      subject = await open({ visibilityTimeoutSeconds, ...settings });
      producer = subject.queue.producer();
    }

    let sent = 0;
    const send = (key: string, payload: string, deduplicationId = `message ${++sent}`) =>
      producer.send({ key, payload, deduplicationId });
    const payloads = (deliveries: readonly Delivery[]) => deliveries.map(({ payload }) => payload);

    /** Receives until there are `count`. */
    async function receive(
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

    it("delivers what was sent", async () => {
      const sentMs = Date.now();
      await send("shop:42", '{"name":"ж"}');
      const consumer = subject.queue.consumer();
      const [delivery, ...others] = await consumer.receive(10);
      expect(others).toEqual([]);
      expect(delivery).toMatchObject({ path: "sqs", key: "shop:42", payload: '{"name":"ж"}', sizeBytes: 13 });
      expect(Math.abs((delivery?.publishTimeMs ?? 0) - sentMs)).toBeLessThan(5_000);
      expect([producer.connected(), consumer.connected()]).toEqual([true, true]);
    });

    it("keeps the order of each key, however many are sent at once", async () => {
      const keys = Array.from({ length: 20 }, (_, index) => `shop:${index}`);
      const numbers = Array.from({ length: 25 }, (_, index) => `${index}`);
      await Promise.all(numbers.flatMap((number) => keys.map((key) => send(key, number))));
      const deliveries = await receive(subject.queue.consumer(), 500);
      for (const key of keys) expect(payloads(deliveries.filter((one) => one.key === key))).toEqual(numbers);
    });

    it("keeps the order of one key that everything belongs to", async () => {
      const numbers = Array.from({ length: 200 }, (_, index) => `${index}`);
      await Promise.all(numbers.map((number) => send("hot", number)));
      expect(payloads(await receive(subject.queue.consumer(), 200))).toEqual(numbers);
    });

    it("never has one key's messages with two consumers", async () => {
      const keys = Array.from({ length: 40 }, (_, index) => `shop:${index}`);
      await Promise.all(
        Array.from({ length: 400 }, (_, index) => send(keys[index % 40] as string, `${index}`)),
      );
      const consumers = [subject.queue.consumer(), subject.queue.consumer()];
      const holders = new Map<string, { consumer: FallbackConsumer; count: number }>();
      const clashes: string[] = [];
      const counts = [0, 0];
      const consume = async (consumer: FallbackConsumer, index: number) => {
        for (let some = await consumer.receive(5); some.length > 0; some = await consumer.receive(5)) {
          for (const { key } of some) {
            const holder = holders.get(key) ?? { consumer, count: 0 };
            if (holder.consumer !== consumer && holder.count > 0) clashes.push(key);
            holders.set(key, { consumer, count: holder.consumer === consumer ? holder.count + 1 : 1 });
          }
          await new Promise(setImmediate);
          for (const { key } of some) (holders.get(key) as { count: number }).count--;
          await consumer.acknowledge(some);
          counts[index] = (counts[index] as number) + some.length;
          if (counts[0]! + counts[1]! === 400) for (const each of consumers) each.pause();
        }
      };
      await Promise.all(consumers.map(consume));
      expect(clashes).toEqual([]);
      // Otherwise there was only one consumer, and this shows nothing.
      expect(Math.min(...counts)).toBeGreaterThan(0);
    });

    it("gives back what was not acknowledged when a consumer closes, at once and in order", async () => {
      const numbers = Array.from({ length: 12 }, (_, index) => `${index}`);
      for (const number of numbers) await send("a", number);
      await send("b", "other");
      const first = subject.queue.consumer();
      const [head] = await receive(first, 1, false);
      await first.close();
      const second = subject.queue.consumer();
      const deliveries = await receive(second, 13);
      expect(head?.payload === "0" || head?.payload === "other").toBe(true);
      expect(payloads(deliveries.filter(({ key }) => key === "a"))).toEqual(numbers);
    });

    it("does not deliver again what was acknowledged before the close", async () => {
      await send("a", "one");
      await send("a", "two");
      const first = subject.queue.consumer();
      await receive(first, 1);
      await first.close();
      expect(payloads(await receive(subject.queue.consumer(), 1))).toEqual(["two"]);
    });

    it("takes an acknowledgement while it is paused, and one that comes twice", async () => {
      await send("a", "one");
      await send("a", "two");
      const first = subject.queue.consumer();
      const deliveries = await receive(first, 1, false);
      first.pause();
      await first.acknowledge(deliveries);
      await first.acknowledge(deliveries);
      await first.close();
      await first.acknowledge(deliveries);
      expect(payloads(await receive(subject.queue.consumer(), 1))).toEqual(["two"]);
    });

    it("delivers what was released again after the time, later messages of the key behind it", async () => {
      for (const payload of ["one", "two", "three"]) await send("a", payload);
      const consumer = subject.queue.consumer();
      const deliveries = await receive(consumer, 1, false);
      const releasedMs = performance.now();
      await consumer.release(deliveries, 1_500);
      expect(payloads(await receive(consumer, 3))).toEqual(["one", "two", "three"]);
      expect(performance.now() - releasedMs).toBeGreaterThan(1_400);
    });

    it("delivers what was released without a delay at once", async () => {
      await send("a", "one");
      const consumer = subject.queue.consumer();
      await consumer.release(await receive(consumer, 1, false), 0);
      expect(payloads(await receive(consumer, 1))).toEqual(["one"]);
    });

    it("drops a repeat with the same deduplication id", async () => {
      await Promise.all([send("a", "one", "same"), send("a", "one", "same"), send("b", "other", "another")]);
      await send("a", "one again", "same");
      await send("a", "last", "last");
      const deliveries = await receive(subject.queue.consumer(), 3);
      expect(payloads(deliveries.filter(({ key }) => key === "a"))).toEqual(["one", "last"]);
    });

    it("takes and delivers a thousand at once", async () => {
      const numbers = Array.from({ length: 1_000 }, (_, index) => `${index}`);
      await Promise.all(numbers.map((number) => send(`shop:${Number(number) % 300}`, number)));
      const deliveries = await receive(subject.queue.consumer(), 1_000);
      expect(
        payloads(deliveries)
          .map(Number)
          .sort((a, b) => a - b),
      ).toEqual(numbers.map(Number));
    });

    it("carries any text as key and as payload", async () => {
      const controls = Array.from({ length: 33 }, (_, code) => String.fromCharCode(code)).join("");
      const texts = [
        "",
        controls,
        "\u007f\u0085",
        "\ufffe\uffff",
        "lone \ud800 surrogate",
        "🦔",
        '"quoted"',
        "x".repeat(200),
      ];
      for (const text of texts) {
        await send(`k${text}`, text);
        await send(text, JSON.stringify(text));
      }
      const deliveries = await receive(subject.queue.consumer(), 2 * texts.length);
      const received = deliveries.map(({ key, payload }) => [key, payload]).sort();
      expect(received).toEqual(
        texts
          .flatMap((text) => [
            [`k${text}`, text],
            [text, JSON.stringify(text)],
          ])
          .sort(),
      );
    });

    it("takes messages of which a batch would be too large", async () => {
      const payload = "x".repeat(60_000);
      await Promise.all(Array.from({ length: 12 }, (_, index) => send(`shop:${index}`, payload)));
      expect((await receive(subject.queue.consumer(), 12)).every((one) => one.payload === payload)).toBe(
        true,
      );
    });

    it("refuses a message that is too large, and still takes the next", async () => {
      const refusal = { code: "queue_send_refused", retryable: false };
      await expect(send("a", "x".repeat(262_144))).rejects.toMatchObject(refusal);
      await expect(send("a", "small")).resolves.toBeUndefined();
    });

    it("refuses more sends at once than it may hold", async () => {
      await reopen({ maxPending: 50 });
      const results = await Promise.allSettled(
        Array.from({ length: 60 }, (_, index) => send(`shop:${index}`, "x")),
      );
      const refused = results.filter((result) => result.status === "rejected");
      expect(refused).toHaveLength(10);
      for (const { reason } of refused)
        expect(reason).toMatchObject({ code: "queue_send_refused", retryable: true });
      await expect(send("a", "room again")).resolves.toBeUndefined();
    });

    it("holds no more than it may before they are received", async () => {
      await reopen({ maxPrefetched: 20 });
      await Promise.all(Array.from({ length: 100 }, (_, index) => send(`shop:${index}`, `${index}`)));
      const consumer = subject.queue.consumer();
      await vi.waitFor(async () => expect(await subject.inFlightCount()).toBe(20), wait);
      await receive(consumer, 100);
    });

    it("holds no more than it may before they are acknowledged", async () => {
      await reopen({ maxUnacknowledged: 20 });
      await Promise.all(Array.from({ length: 100 }, (_, index) => send(`shop:${index}`, `${index}`)));
      const consumer = subject.queue.consumer();
      const deliveries = await receive(consumer, 20, false);
      expect(await subject.inFlightCount()).toBe(20);
      await consumer.acknowledge(deliveries);
      await receive(consumer, 80);
    });

    it("keeps a message for as long as it is held, past its visibility timeout", async () => {
      await reopen({ visibilityTimeoutSeconds: 2 });
      await send("a", "slow");
      const holder = subject.queue.consumer();
      const deliveries = await receive(holder, 1, false);
      holder.pause();
      const other = subject.queue.consumer();
      const stolen = other.receive(10);
      const heldMs = performance.now();
      await vi.waitFor(() => expect(performance.now() - heldMs).toBeGreaterThan(5_000), wait);
      await holder.acknowledge(deliveries);
      await send("a", "next");
      expect(payloads(await stolen)).toEqual(["next"]);
    });

    it("ends a receive that waits when it is paused or closed, and the ones after", async () => {
      const paused = subject.queue.consumer();
      const closed = subject.queue.consumer();
      const waiting = [paused.receive(10), closed.receive(10)];
      paused.pause();
      await closed.close();
      expect(await Promise.all(waiting)).toEqual([[], []]);
      expect(await paused.receive(10)).toEqual([]);
      expect(await closed.receive(10)).toEqual([]);
    });

    it("waits for sends under way when a producer closes, and takes none after", async () => {
      const sends = Array.from({ length: 100 }, (_, index) => send(`shop:${index}`, "x"));
      await producer.close();
      expect((await Promise.allSettled(sends)).every(({ status }) => status === "fulfilled")).toBe(true);
      await expect(send("a", "late")).rejects.toMatchObject({ code: "queue_not_connected" });
      expect(producer.connected()).toBe(false);
    });
  });
}
