import { type AddressInfo, createServer, type Socket } from "node:net";
import { CreateQueueCommand, type Message, SQSClient } from "@aws-sdk/client-sqs";
import fc from "fast-check";
import { buildApp } from "fauxqs";
import { afterEach, expect, test } from "vitest";
import { createSqs } from "../../shared/adapters/sqs/sqs.ts";
import { createSqsConsumer } from "../../shared/adapters/sqs/sqs-consumer.ts";
import { createPackProgress } from "../../shared/adapters/sqs/sqs-pack-progress.ts";
import { createPollRoom } from "../../shared/adapters/sqs/sqs-poll-room.ts";
import type { SqsRequests } from "../../shared/adapters/sqs/sqs-requests.ts";
import type { Producer } from "../../shared/ports/update-queue.ts";
import { createRoutedSender, type SendOutcome } from "../../shared/publish/routed-send.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { until } from "../support/until.ts";

const access = { region: "us-east-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } };
const bounds = { maxPending: 10_000, pollers: 2, maxPrefetched: 100, visibilityTimeoutSeconds: 30 };
const closing: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startServer(names: readonly string[]): Promise<string[]> {
  const server = buildApp({ logger: false });
  const endpoint = await server.listen({ port: 0, host: "127.0.0.1" });
  closing.push(() => server.close());
  const client = new SQSClient({ endpoint, ...access });
  for (const QueueName of names)
    await client.send(new CreateQueueCommand({ QueueName, Attributes: { FifoQueue: "true" } }));
  client.destroy();
  return names.map((name) => `${endpoint}/000000000000/${name}`);
}

function open(...queueUrls: string[]) {
  const options = { sendTimeoutMs: 5_000, longPollSeconds: 0, ...bounds, ...access };
  const queue = createSqs({ queueUrl: queueUrls.join(","), ...options });
  closing.push(queue.close);
  return queue;
}

test("users are spread evenly over the queues, and all of one user's updates are in one", async () => {
  const urls = await startServer(["a.fifo", "b.fifo", "c.fifo"]);
  const producer = open(...urls).producer();
  const send = (key: string, id: string) => producer.send({ key, payload: "{}", deduplicationId: key + id });
  await Promise.all(Array.from({ length: 600 }, (_, index) => send(`shop:user-${index}`, "")));
  const countsOf = () => Promise.all(urls.map((url) => open(url).waiting()));
  const spread = await countsOf();
  expect(Math.min(...spread)).toBeGreaterThan(160);
  await Promise.all(Array.from({ length: 30 }, (_, index) => send("shop:hot", `${index}`)));
  const grown = (await countsOf()).map((count, queue) => count - spread[queue]!);
  expect(grown.toSorted((a, b) => a - b)).toEqual([0, 0, 30]);
});

test("what waits in all of them is counted, and a missing one is named", async () => {
  const [a, b] = await startServer(["a.fifo", "b.fifo"]);
  const producer = open(a!, b!).producer();
  for (let user = 0; user < 20; user += 1)
    await producer.send({ key: `${user}`, payload: "{}", deduplicationId: `${user}` });
  expect(await open(a!, b!).waiting()).toBe(20);
  const missing = a!.replace("a.fifo", "missing.fifo");
  await expect(open(a!, missing).checkExists()).rejects.toMatchObject({
    code: "sqs_queue_missing",
    value: missing,
  });
});

test("one that is away keeps nobody from the others, and shows", async () => {
  const [there] = await startServer(["a.fifo"]);
  await open(there!).producer().send({ key: "a", payload: "{}", deduplicationId: "1" });
  const away = "http://127.0.0.1:1/000000000000/away.fifo";
  const consumer = open(there!, away).consumer();
  expect(await consumer.receive(1)).toMatchObject([{ key: "a" }]);
  await until("it is told of", () => consumer.unreachable?.()[0] === away, { everyMs: 10 });
  expect(consumer.unreachable?.()).toEqual([away]);
  expect(consumer.connected()).toBe(true);
});

test("a consumer is connected to none when all are away", async () => {
  const consumer = open("http://127.0.0.1:1/0/a.fifo", "http://127.0.0.1:1/0/b.fifo").consumer();
  await until("it is told of", () => !consumer.connected(), { everyMs: 10 });
});

/** A queue that takes requests and answers none. */
async function startSilent(): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => {})));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  closing.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/000000000000/silent.fifo`;
}

const refuses: Producer = {
  send: () => Promise.reject(new KeylineError("queue_not_connected", "away", { retryable: true })),
  connected: () => false,
  close: async () => {},
};

test("one that does not answer keeps no room of a publisher from the users of another", async () => {
  const [there] = await startServer(["a.fifo"]);
  const queue = createSqs({
    queueUrl: `${there},${await startSilent()}`,
    sendTimeoutMs: 5_000,
    ...bounds,
    ...access,
  });
  const fallback = queue.producer();
  const sender = createRoutedSender({
    ...{ primary: refuses, fallback, breaker: { guard: (send) => send() } },
    ...{ route: () => ({ path: "sqs", by: "fleet", why: "" }), deadlineMs: 20_000 },
    maxPending: { pulsar: 10, sqs: 10 },
  });
  const settled: number[] = [];
  const send = (key: string) =>
    new Promise<SendOutcome>((settle) =>
      sender.send({ key, payload: "{}", deduplicationId: key }, (outcome) => {
        settled.push(fallback.queues!.of(key));
        settle(outcome);
      }),
    );
  const keys = Array.from({ length: 200 }, (_, user) => `user ${user}`);
  const [answered, unanswered] = [0, 1].map((queue) =>
    keys.filter((key) => fallback.queues!.of(key) === queue),
  );
  for (const key of unanswered!) void send(key);
  const outcomes = await Promise.all(answered!.map(send));
  expect(outcomes.every((outcome) => "path" in outcome && outcome.path === "sqs")).toBe(true);
  expect(settled).toEqual(answered!.map(() => 0));
});

/** Requests to a queue of which each poll brings ten messages, or waits for some until it is broken off. */
function queueOf(messages: "always" | "never"): SqsRequests {
  const requests: Partial<SqsRequests> = {
    receive: async ({ maxMessages, signal }) => {
      const full = Array.from({ length: maxMessages }, (): Message => ({ Body: "{}", ReceiptHandle: "r" }));
      if (messages === "always") return full;
      await new Promise((resolve) => signal?.addEventListener("abort", resolve));
      return [];
    },
    delete: async (handles) => handles.map(() => undefined),
    changeVisibility: async (handles) => handles.map(() => undefined),
  };
  return requests as SqsRequests;
}

test.each([2, 3])("an empty queue holds up none of %s, however little room there is", async (queueCount) => {
  for (const room of [1, queueCount, 10, 10 * queueCount, 10 * queueCount + 9, 1_000]) {
    const queues = [...Array.from({ length: queueCount - 1 }, () => queueOf("never")), queueOf("always")];
    const options = {
      ...{ pollers: 4, longPollSeconds: 20, visibilityTimeoutSeconds: 30, maxConcurrentRequests: 4 },
      ...{ maxPrefetched: room, maxUnacknowledged: room, onError: () => {} },
    };
    const consumer = createSqsConsumer(queues, options, createPackProgress());
    for (let received = 0; received < 100; ) {
      const deliveries = await consumer.receive(100);
      received += deliveries.length;
      await consumer.acknowledge(deliveries);
    }
    await consumer.close();
  }
});

test("polls of any number of queues never ask for more than there is room for, nor does one wait for ever", () => {
  const steps = fc.array(fc.record({ queue: fc.nat(3), free: fc.nat(60), ends: fc.boolean() }));
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 10 }),
      steps,
      (queueCount, pollSize, all) => {
        let free = 60;
        const underWay = new Array<number>(queueCount).fill(0);
        const room = createPollRoom({ queueCount, pollSize, free: () => free });
        for (const step of all) {
          const queue = step.queue % queueCount;
          if (step.ends && underWay[queue]! > 0) {
            underWay[queue]! -= 1;
            room.giveBack(queue);
          }
          free = step.free;
          const asked = () => underWay.reduce((sum, count) => sum + count * pollSize, 0);
          if (room.take(queue)) {
            underWay[queue]! += 1;
            expect(asked()).toBeLessThanOrEqual(free);
          }
        }
        // Whoever has no poll gets one in its turn, once those under way are over.
        underWay.forEach((count, queue) => {
          for (let poll = 0; poll < count; poll += 1) room.giveBack(queue);
        });
        free = pollSize;
        const next = underWay.findIndex((_, queue) => room.take(queue));
        expect(next).toBeGreaterThanOrEqual(0);
        room.giveBack(next);
        const after = underWay.findIndex((_, queue) => room.take(queue));
        expect(after === next).toBe(queueCount === 1);
      },
    ),
  );
});

test.each([
  ["http://h/a.fifo,", "http://h/a.fifo,", "has an empty entry"],
  ["http://h/a.fifo,http://h/a.fifo", "http://h/a.fifo,http://h/a.fifo", 'names "http://h/a.fifo" twice'],
  ["http://h/a.fifo,http://h/b", "http://h/b", "is not the URL of an SQS FIFO queue"],
])("the list %j is refused, quoting it", (queueUrl, value, problem) => {
  expect(() => open(queueUrl)).toThrow(
    expect.objectContaining({
      code: "bad_sqs_queue_url",
      value,
      message: expect.stringContaining(`${JSON.stringify(value)} ${problem}`),
    }),
  );
});
