import { randomUUID } from "node:crypto";
import { expect, inject, test } from "vitest";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import { partitions } from "../support/pulsar-partitions.ts";
import {
  collect,
  keysNamed,
  messagesOf,
  openConsumer,
  openProducer,
  payloadsOf,
  sendAll,
  until,
} from "./primary-queue-steps.ts";

test("a consumer takes in partitions that are added, and loses nothing of what it held", async () => {
  const url = inject("servers").pulsarWebSocketUrl;
  const topic = `persistent://public/default/partitions-${randomUUID()}`;
  await partitions.create(topic, 2);
  const queue = createPulsarWebSocket({ url, watchPartitionsMs: 100 });
  const consumer = await openConsumer(queue, topic, { connections: 4 });
  const keys = keysNamed("user", 40);
  const before = messagesOf(keys, 1);
  await sendAll(await openProducer(queue, topic), before);
  const held = await consumer.receive(1_000);
  expect(held.length).toBeGreaterThan(0);

  await partitions.growTo(topic, 4);
  const received = collect(consumer, { acknowledge: true });
  // What was received and not acknowledged comes again, over the connections of the new plan.
  await until(() => expect(new Set(received.map(({ payload }) => payload)).size).toBe(before.length));

  const after = messagesOf(keys, 3, 1);
  const anew = createPulsarWebSocket({ url });
  const producer = await openProducer(anew, topic);
  await sendAll(producer, after);
  await until(() => {
    for (const key of keys) expect(payloadsOf(received, key)).toContain(`${key} 3`);
  });
  const partitionsSeen = new Set(received.map(({ position }) => position?.partition));
  expect([...partitionsSeen].sort()).toEqual([0, 1, 2, 3]);
  await anew.close();
  await queue.close();
});
