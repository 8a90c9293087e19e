import { CreateQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import fc from "fast-check";
import { buildApp } from "fauxqs";
import { afterEach, expect, test } from "vitest";
import { createSqs, type SqsOptions, type SqsQueue } from "../../shared/adapters/sqs/sqs.ts";
import { encodePack, receivedContentsOf } from "../../shared/adapters/sqs/sqs-pack.ts";
import { createPackProgress } from "../../shared/adapters/sqs/sqs-pack-progress.ts";
import type { Delivery, FallbackConsumer, OutgoingMessage } from "../../shared/ports/update-queue.ts";
import { until } from "../support/until.ts";

const access = { region: "us-east-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } };
const closing: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const opened = new Map<SqsQueue, SqsOptions>();

/** As another process has it. */
function reopen(queue: SqsQueue): SqsQueue {
  const again = createSqs(opened.get(queue)!);
  closing.push(again.close);
  return again;
}

/** A queue of packs on a server of its own. */
async function start(settings: Partial<SqsOptions> = {}): Promise<SqsQueue> {
  const server = buildApp({ logger: false });
  const endpoint = await server.listen({ port: 0, host: "127.0.0.1" });
  closing.push(() => server.close());
  const client = new SQSClient({ endpoint, ...access });
  const create = { QueueName: "ledger.fifo", Attributes: { FifoQueue: "true" } };
  await client.send(new CreateQueueCommand(create));
  client.destroy();
  const bounds = { maxPending: 10_000, pollers: 1, maxPrefetched: 100, visibilityTimeoutSeconds: 30 };
  const queueUrl = `${endpoint}/000000000000/ledger.fifo`;
  const options = { sendTimeoutMs: 5_000, longPollSeconds: 0, ...bounds, ...access, ...settings };
  const all = { queueUrl, packed: true, ...options };
  const queue = createSqs(all);
  opened.set(queue, all);
  closing.push(queue.close);
  return queue;
}

const messageOf = (number: number): OutgoingMessage => ({
  key: `user ${number}`,
  payload: `{"number":${number}}`,
  deduplicationId: `${number}`,
});

async function receiveAll(consumer: FallbackConsumer, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  while (deliveries.length < count) deliveries.push(...(await consumer.receive(count - deliveries.length)));
  return deliveries;
}

const isEmpty = (queue: SqsQueue) =>
  until("the queue is empty", async () => (await queue.waiting()) === 0, { everyMs: 10 });

test("what only says that it is a pack is one message as it stands", () => {
  const attributes = { packed: { DataType: "String", StringValue: "2" } };
  const bodies = [
    "no pack",
    "",
    "\n",
    "{}\n",
    "[]\n",
    '[["a",-1],["b",4]]\nxyz',
    '[["a",9]]\nxyz',
    '[["a","3"]]\nxyz',
    "[1]\n",
  ];
  for (const Body of bodies) {
    const message = { Body, Attributes: { MessageGroupId: "group" }, MessageAttributes: attributes };
    expect(receivedContentsOf(message)).toEqual([expect.objectContaining({ key: "group", payload: Body })]);
  }
});

test("many at once are few messages of SQS, and each comes out under its key, verbatim", async () => {
  const queue = await start();
  const producer = queue.producer();
  const sent = Array.from({ length: 1_050 }, (_, number) => messageOf(number));
  await Promise.all(sent.map((message) => producer.send(message)));
  expect(await queue.waiting()).toBe(11);
  const consumer = queue.consumer();
  const deliveries = await receiveAll(consumer, sent.length);
  const contents = deliveries.map(({ key, payload, sizeBytes }) => ({ key, payload, sizeBytes }));
  const expected = sent.map(({ key, payload }) => ({ key, payload, sizeBytes: payload.length }));
  const byKey = (a: { key: string }, b: { key: string }) => a.key.localeCompare(b.key);
  expect(contents.toSorted(byKey)).toEqual(expected.toSorted(byKey));
  await consumer.acknowledge(deliveries);
  await isEmpty(queue);
});

test("one message of SQS is deleted once all that it holds is acknowledged, each counted once", async () => {
  const queue = await start();
  const producer = queue.producer();
  await Promise.all([1, 2, 3].map((number) => producer.send(messageOf(number))));
  const consumer = queue.consumer();
  const [first, second, third] = await receiveAll(consumer, 3);
  await consumer.acknowledge([first!, first!]);
  await consumer.acknowledge([first!, second!]);
  await consumer.close();
  expect(await queue.waiting()).toBe(1);
  const other = queue.consumer();
  const again = await receiveAll(other, 1);
  expect(again.map(({ key }) => key)).toEqual([third!.key]);
  await other.acknowledge(again);
  await isEmpty(queue);
});

const keysOf = (deliveries: readonly Delivery[]) => deliveries.map(({ key }) => key).toSorted();

test("what is given back brings its pack again, also what was not received yet, but for what is done", async () => {
  const queue = await start();
  const producer = queue.producer();
  await Promise.all([1, 2, 3].map((number) => producer.send(messageOf(number))));
  const consumer = queue.consumer();
  const [first, second] = await receiveAll(consumer, 2);
  await consumer.acknowledge([first!]);
  await consumer.release([second!], 0);
  const again = await receiveAll(consumer, 2);
  expect(keysOf(again)).toEqual(["user 2", "user 3"]);
  await consumer.acknowledge(again);
  await isEmpty(queue);
});

test("what is acknowledged of a pack after it was given back does not come again either", async () => {
  const queue = await start();
  const producer = queue.producer();
  await Promise.all([1, 2, 3].map((number) => producer.send(messageOf(number))));
  const consumer = queue.consumer();
  const [first, second, third] = await receiveAll(consumer, 3);
  await consumer.release([second!], 0);
  await consumer.acknowledge([first!, third!]);
  await consumer.close();
  const other = queue.consumer();
  const again = await receiveAll(other, 1);
  expect(keysOf(again)).toEqual([second!.key]);
  await consumer.acknowledge([second!]);
  await other.release(again, 0);
  await isEmpty(queue);
});

test("another process gets all of a pack that was given back", async () => {
  const queue = await start();
  const producer = queue.producer();
  await Promise.all([1, 2, 3].map((number) => producer.send(messageOf(number))));
  const consumer = queue.consumer();
  const [first, second] = await receiveAll(consumer, 3);
  await consumer.acknowledge([first!]);
  await consumer.release([second!], 0);
  await consumer.close();
  const other = reopen(queue).consumer();
  expect(keysOf(await receiveAll(other, 3))).toEqual(["user 1", "user 2", "user 3"]);
});

test("the oldest packs of which something was done are forgotten first", () => {
  const progress = createPackProgress(2);
  for (const pack of ["a", "b", "a", "c"]) progress.add(pack, 7);
  expect(["a", "b", "c"].map((pack) => [...progress.acknowledged(pack)])).toEqual([[], [7], [7]]);
  progress.forget("b");
  expect([...progress.acknowledged("b")]).toEqual([]);
});

test("what is being gathered goes out before a producer is closed", async () => {
  const queue = await start();
  const producer = queue.producer();
  const sends = [1, 2, 3].map((number) => producer.send(messageOf(number)));
  await producer.close();
  await Promise.all(sends);
  expect(await queue.waiting()).toBe(1);
});

test("one alone is as it is in any queue, and a repeat of it is dropped", async () => {
  const queue = await start();
  const producer = queue.producer();
  await producer.send(messageOf(1));
  await producer.send(messageOf(1));
  expect(await queue.waiting()).toBe(1);
});

test("a pack is no longer than SQS counts as one request, and what is longer goes alone", async () => {
  const queue = await start();
  const producer = queue.producer();
  const payload = "x".repeat(30_000);
  await Promise.all([1, 2, 3, 4].map((number) => producer.send({ ...messageOf(number), payload })));
  expect(await queue.waiting()).toBe(2);
  await producer.send({ ...messageOf(5), payload: "x".repeat(200_000) });
  expect(await queue.waiting()).toBe(3);
});

test("a pack that is not taken fails for each that it holds", async () => {
  const queue = await start({ endpoint: "http://127.0.0.1:1" });
  const producer = queue.producer();
  const sends = await Promise.allSettled([1, 2, 3].map((number) => producer.send(messageOf(number))));
  const reason = { code: "queue_not_connected", retryable: true };
  expect(sends).toMatchObject(Array.from({ length: 3 }, () => ({ status: "rejected", reason })));
});

test("any texts come out of a pack as they went in", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }), fc.json());
  fc.assert(
    fc.property(fc.array(fc.record({ key: text, payload: text }), { minLength: 1 }), (messages) => {
      const entry = encodePack(
        messages.map((message) => ({ ...message, deduplicationId: "" })),
        undefined,
      );
      const received = receivedContentsOf({
        Body: entry.MessageBody,
        MessageAttributes: entry.MessageAttributes,
      });
      expect(received.map(({ key, payload }) => ({ key, payload }))).toEqual(messages);
    }),
  );
});
