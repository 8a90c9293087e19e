/** What every fallback queue does with messages. */
import { describe, expect, it } from "vitest";
import type { FallbackConsumer } from "../../shared/ports/update-queue.ts";
import { type OpenFallbackQueue, payloads, receive, useFallbackQueue } from "./fallback-queue-subject.ts";

export function describeFallbackQueue(name: string, open: OpenFallbackQueue): void {
  describe(`fallback queue: ${name}`, () => {
    const fixture = useFallbackQueue(open);
    const { send } = fixture;

    it("delivers what was sent", async () => {
      const sentMs = Date.now();
      await send("shop:42", '{"name":"ж"}');
      const consumer = fixture.consumer();
      const [delivery, ...others] = await consumer.receive(10);
      expect(others).toEqual([]);
      expect(delivery).toMatchObject({ path: "sqs", key: "shop:42", payload: '{"name":"ж"}', sizeBytes: 13 });
      expect(Math.abs((delivery?.publishTimeMs ?? 0) - sentMs)).toBeLessThan(5_000);
      expect([fixture.producer().connected(), consumer.connected()]).toEqual([true, true]);
    });

    it("keeps the order of each key, however many are sent at once", async () => {
      const keys = Array.from({ length: 20 }, (_, index) => `shop:${index}`);
      const numbers = Array.from({ length: 25 }, (_, index) => `${index}`);
      await Promise.all(numbers.flatMap((number) => keys.map((key) => send(key, number))));
      const deliveries = await receive(fixture.consumer(), 500);
      for (const key of keys) expect(payloads(deliveries.filter((one) => one.key === key))).toEqual(numbers);
    });

    it("keeps the order of one key that everything belongs to", async () => {
      const numbers = Array.from({ length: 200 }, (_, index) => `${index}`);
      await Promise.all(numbers.map((number) => send("hot", number)));
      expect(payloads(await receive(fixture.consumer(), 200))).toEqual(numbers);
    });

    it("never has one key's messages with two consumers", async () => {
      // More keys than the first polls of one consumer can hold.
      const keys = Array.from({ length: 160 }, (_, index) => `shop:${index}`);
      const total = 5 * keys.length;
      await Promise.all(
        Array.from({ length: total }, (_, index) => send(keys[index % keys.length] as string, `${index}`)),
      );
      const consumers = [fixture.consumer(), fixture.consumer()];
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
          if (counts[0]! + counts[1]! === total) for (const each of consumers) each.pause();
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
      const first = fixture.consumer();
      const [head] = await receive(first, 1, false);
      await first.close();
      const second = fixture.consumer();
      const deliveries = await receive(second, 13);
      expect(head?.payload === "0" || head?.payload === "other").toBe(true);
      expect(payloads(deliveries.filter(({ key }) => key === "a"))).toEqual(numbers);
    });

    it("does not deliver again what was acknowledged before the close", async () => {
      await send("a", "one");
      await send("a", "two");
      const first = fixture.consumer();
      await receive(first, 1);
      await first.close();
      expect(payloads(await receive(fixture.consumer(), 1))).toEqual(["two"]);
    });

    it("takes an acknowledgement while it is paused, and one that comes twice", async () => {
      await send("a", "one");
      await send("a", "two");
      const first = fixture.consumer();
      const deliveries = await receive(first, 1, false);
      first.pause();
      await first.acknowledge(deliveries);
      await first.acknowledge(deliveries);
      await first.close();
      await first.acknowledge(deliveries);
      expect(payloads(await receive(fixture.consumer(), 1))).toEqual(["two"]);
    });

    it("delivers what was released again after the time, later messages of the key behind it", async () => {
      for (const payload of ["one", "two", "three"]) await send("a", payload);
      const consumer = fixture.consumer();
      const deliveries = await receive(consumer, 1, false);
      const releasedMs = performance.now();
      await consumer.release(deliveries, 1_500);
      expect(payloads(await receive(consumer, 3))).toEqual(["one", "two", "three"]);
      expect(performance.now() - releasedMs).toBeGreaterThan(1_400);
    });

    it("delivers what was released without a delay at once", async () => {
      await send("a", "one");
      const consumer = fixture.consumer();
      await consumer.release(await receive(consumer, 1, false), 0);
      expect(payloads(await receive(consumer, 1))).toEqual(["one"]);
    });

    it("drops a repeat with the same deduplication id", async () => {
      await Promise.all([send("a", "one", "same"), send("a", "one", "same"), send("b", "other", "another")]);
      await send("a", "one again", "same");
      await send("a", "last", "last");
      const deliveries = await receive(fixture.consumer(), 3);
      expect(payloads(deliveries.filter(({ key }) => key === "a"))).toEqual(["one", "last"]);
    });

    it("takes and delivers a thousand at once", async () => {
      const numbers = Array.from({ length: 1_000 }, (_, index) => `${index}`);
      await Promise.all(numbers.map((number) => send(`shop:${Number(number) % 300}`, number)));
      const deliveries = await receive(fixture.consumer(), 1_000);
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
      const deliveries = await receive(fixture.consumer(), 2 * texts.length);
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
  });
}
