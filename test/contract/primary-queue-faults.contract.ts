import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Topic } from "../../shared/ports/primary-queue.ts";
import {
  collect,
  keysNamed,
  messagesOf,
  openConsumer,
  openProducer,
  payloadsOf,
  type QueueUnderTest,
  sendAll,
  until,
} from "./primary-queue-steps.ts";

export type QueueOverNetwork = QueueUnderTest & {
  /** Connections are reset and refused; `restore` ends it. */
  cut(): void;
  /** Bytes that came from the broker so far. */
  bytesReceived(): number;
  /** Publishes on a line of its own, which no fault touches. */
  publishBeside(topic: Topic, messages: readonly (readonly [key: string, payload: string])[]): Promise<void>;
};

/** What every primary queue promises that is reached over a network. */
export function describeNetworkFaults(name: string, open: () => Promise<QueueOverNetwork>): void {
  describe(`${name}, faults of the network`, () => {
    let under: QueueOverNetwork;
    let topic: Topic;

    beforeEach(async () => {
      under = await open();
      topic = await under.newTopic();
    });

    afterEach(async () => {
      under.restore();
      await under.close();
    });

    it("opens while the broker is away, says so at once, and works by itself once it is there", async () => {
      under.cut();
      const producer = under.queue.producer({ topic, sendTimeoutMs: 2_000, maxPending: 10 });
      const consumer = under.queue.consumer({
        topic,
        subscription: "keyline",
        connections: 2,
        maxPrefetched: 10,
      });
      const received = collect(consumer, { acknowledge: true });
      const started = performance.now();
      await expect(sendAll(producer, [["ada", "early"]])).rejects.toMatchObject({
        code: "queue_not_connected",
      });
      expect(performance.now() - started).toBeLessThan(50);
      expect([producer.connected(), consumer.connected()]).toEqual([false, false]);
      under.restore();
      await vi.waitFor(() => sendAll(producer, [["ada", "there"]]), { timeout: 10_000, interval: 20 });
      await until(() => expect(payloadsOf(received, "ada")).toContain("there"));
    });

    it("rejects sends after a cut and sends again by itself when the line is back", async () => {
      const producer = await openProducer(under.queue, topic, { sendTimeoutMs: 1_000 });
      under.cut();
      await until(() => expect(producer.connected()).toBe(false));
      const started = performance.now();
      await expect(sendAll(producer, [["ada", "during"]])).rejects.toMatchObject({
        code: "queue_not_connected",
      });
      expect(performance.now() - started).toBeLessThan(50);
      under.restore();
      await vi.waitFor(() => sendAll(producer, [["ada", "after"]]), { timeout: 6_000, interval: 20 });
    });

    it("loses nothing over a cut, and what it acknowledged on the lost line does no harm", async () => {
      const keys = keysNamed("user", 10);
      const consumer = await openConsumer(under.queue, topic, { connections: 2 });
      const received = collect(consumer, { acknowledge: false });
      await under.publishBeside(topic, messagesOf(keys, 5));
      await until(() => expect(received).toHaveLength(50));
      under.cut();
      await until(() => expect(consumer.connected()).toBe(false));
      await consumer.acknowledge(received);
      await under.publishBeside(topic, messagesOf(keys, 5, 5));
      under.restore();
      await until(() => expect(new Set(received.map(({ payload }) => payload)).size).toBe(100));
      for (const key of keys) {
        // What was unacknowledged comes again, in order, before what is new.
        expect(payloadsOf(received.slice(50), key)).toEqual(
          messagesOf([key], 10).map(([, payload]) => payload),
        );
      }
    });

    it("notices a half-open connection within 3 s and receives again on a good one", async () => {
      const consumer = await openConsumer(under.queue, topic, { connections: 2 });
      const received = collect(consumer, { acknowledge: true });
      await under.publishBeside(topic, messagesOf(["before"], 1));
      await until(() => expect(received).toHaveLength(1));
      under.stall();
      const stalledAt = performance.now();
      await until(() => expect(consumer.connected()).toBe(false));
      expect(performance.now() - stalledAt).toBeLessThan(3_500);
      await under.publishBeside(topic, messagesOf(["during"], 1));
      under.restore();
      const restoredAt = performance.now();
      await until(() => expect(payloadsOf(received, "during")).toHaveLength(1));
      expect(performance.now() - restoredAt).toBeLessThan(6_000);
    });

    it("answers a send on a half-open connection with a timeout, and sends again on a good one", async () => {
      const producer = await openProducer(under.queue, topic, { sendTimeoutMs: 8_000 });
      under.stall();
      const started = performance.now();
      // Sooner than its own timeout: with the dead connection its answer is gone.
      await expect(sendAll(producer, [["ada", "during"]])).rejects.toMatchObject({
        code: "queue_send_timeout",
      });
      expect(performance.now() - started).toBeLessThan(4_500);
      expect(producer.connected()).toBe(false);
      under.restore();
      await vi.waitFor(() => sendAll(producer, [["ada", "after"]]), { timeout: 6_000, interval: 20 });
    });

    it("does not fetch much more than maxPrefetched from the broker when nobody receives", async () => {
      const payload = "x".repeat(10_000);
      const messages = keysNamed("user", 300).map((key) => [key, payload] as const);
      await under.publishBeside(topic, messages);
      const consumer = await openConsumer(under.queue, topic, { connections: 2, maxPrefetched: 16 });
      const first = await consumer.receive(1);
      expect(first).toHaveLength(1);
      // The broker has time to send all of them while these come and go on the same line.
      const producer = await openProducer(under.queue, topic);
      await sendAll(producer, messagesOf(["other"], 50));
      expect(under.bytesReceived()).toBeLessThan(40 * payload.length);
    });
  });
}
