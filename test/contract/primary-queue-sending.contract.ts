import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import type { Compression, Topic } from "../../shared/ports/primary-queue.ts";
import { keyGroupOf } from "../../shared/publish/key-group.ts";
import { storedBytes } from "../support/stored-bytes.ts";
import {
  collect,
  GIVE_UP_MS,
  keysNamed,
  messagesOf,
  openConsumer,
  openProducer,
  payloadsOf,
  type QueueUnderTest,
  sendAll,
  until,
} from "./primary-queue-steps.ts";

/** What every primary queue promises to who sends to it. */
export function describeSending(name: string, open: () => Promise<QueueUnderTest>): void {
  describe(`${name}, sending`, () => {
    let under: QueueUnderTest;
    let topic: Topic;

    beforeEach(async () => {
      under = await open();
      topic = await under.newTopic();
    });

    afterEach(async () => {
      await under.close();
    });

    it("refuses a send beyond maxPending at once, and none before it", async () => {
      const producer = await openProducer(under.queue, topic, { maxPending: 3, sendTimeoutMs: 1_000 });
      under.stall();
      const pending = messagesOf(["ada"], 3).map((message) => sendAll(producer, [message]));
      await expect(sendAll(producer, [["ada", "one more"]])).rejects.toMatchObject({
        code: "queue_send_refused",
      });
      const outcomes = await Promise.allSettled(pending);
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ status: "rejected", reason: { code: "queue_send_timeout" } });
      }
      under.restore();
    });

    it("times out a send without an answer, and sends again by itself afterwards", async () => {
      const producer = await openProducer(under.queue, topic, { sendTimeoutMs: 400 });
      under.stall();
      const started = performance.now();
      await expect(sendAll(producer, [["ada", "lost?"]])).rejects.toMatchObject({
        code: "queue_send_timeout",
      });
      expect(performance.now() - started).toBeGreaterThanOrEqual(390);
      expect(performance.now() - started).toBeLessThan(1_000);
      under.restore();
      await vi.waitFor(() => sendAll(producer, [["ada", "again"]]), { timeout: GIVE_UP_MS, interval: 50 });
    });

    it("refuses a message that is too large, and goes on", async () => {
      const producer = await openProducer(under.queue, topic);
      const large = "x".repeat(6 * 1_048_576);
      await expect(sendAll(producer, [["ada", large]])).rejects.toMatchObject({
        code: "queue_send_refused",
        retryable: false,
      });
      await sendAll(producer, [["ada", "small"]]);
    });
  });
}

/** What is published compressed takes less of the ledger, and is received as it was, whatever the consumer is told. */
export function describeCompression(
  name: string,
  open: (compression: Compression) => Promise<QueueUnderTest>,
): void {
  it.each(["lz4", "zstd"] as const)(
    `${name} keeps messages by %s, and receives them as they were`,
    async (compression) => {
      const plain = await open("none");
      const compressing = await open(compression);
      try {
        const topics = { plain: await plain.newTopic(), compressed: await plain.newTopic() };
        const payload = "profiles of 2,357 customers, ünd more; ".repeat(1_000);
        await sendAll(await openProducer(plain.queue, topics.plain), [["ada", payload]]);
        await sendAll(await openProducer(compressing.queue, topics.compressed), [["ada", payload]]);
        const received = collect(await openConsumer(plain.queue, topics.compressed), { acknowledge: true });
        await until(() => expect(payloadsOf(received, "ada")).toEqual([payload]));
        await vi.waitFor(
          async () => {
            const { pulsarAdminUrl } = inject("servers");
            expect(await storedBytes(pulsarAdminUrl, topics.plain)).toBeGreaterThan(payload.length);
            const compressed = await storedBytes(pulsarAdminUrl, topics.compressed);
            expect(compressed).toBeGreaterThan(0);
            expect(compressed).toBeLessThan(payload.length / 10);
          },
          { timeout: GIVE_UP_MS, interval: 100 },
        );
      } finally {
        await compressing.close();
        await plain.close();
      }
    },
  );
}

/** What every client of the same Pulsar must agree on, or a user's updates part ways. */
export function describeKeyRouting(name: string, open: () => Promise<QueueUnderTest>): void {
  it(`${name} routes keys to partitions by Murmur3_32Hash`, async () => {
    const under = await open();
    try {
      const topic = await under.newTopic();
      const producer = await openProducer(under.queue, topic);
      const received = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      await sendAll(producer, messagesOf(Object.keys(PARTITION_OF_FOUR), 1));
      await until(() => expect(received).toHaveLength(Object.keys(PARTITION_OF_FOUR).length));
      const routed = received.map(({ key, position }) => [key, position!.partition]);
      expect(Object.fromEntries(routed)).toEqual(PARTITION_OF_FOUR);
    } finally {
      await under.close();
    }
  });
}

/** On the brokers that hash as Pulsar does. */
export function describeKeyGroups(name: string, open: () => Promise<QueueUnderTest>): void {
  it(`${name} has key groups evenly on its partitions`, async () => {
    const under = await open();
    try {
      const topic = await under.newTopic();
      const producer = await openProducer(under.queue, topic);
      const received = collect(await openConsumer(under.queue, topic), { acknowledge: true });
      const users = keysNamed("shop:user", 2_000);
      const groups = [...new Set(users.map((user) => keyGroupOf(user, 64)))];
      await sendAll(producer, messagesOf(groups, 1));
      await until(() => expect(received).toHaveLength(64));
      const partitions = Map.groupBy(received, ({ position }) => position!.partition);
      expect([...partitions.values()].map((its) => its.length).toSorted()).toEqual([15, 15, 17, 17]);
    } finally {
      await under.close();
    }
  });
}

/** Computed apart from every client, by the definition of MurmurHash3 (x86, 32 bits, seed 0). */
const PARTITION_OF_FOUR: Record<string, number> = {
  "acme:ada": 0,
  "acme:bob": 1,
  "acme:1": 0,
  "globex:ada": 1,
  ключ: 2,
  "user-7": 0,
  "user-8": 0,
  a: 2,
  ab: 3,
  abc: 2,
};
