import { CreateQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import { buildApp } from "fauxqs";
import { afterEach, expect, test } from "vitest";
import { createSqs } from "../../shared/adapters/sqs/sqs.ts";

const access = { region: "us-east-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } };
const closing: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startServer() {
  const server = buildApp({ logger: false });
  const endpoint = await server.listen({ port: 0, host: "127.0.0.1" });
  closing.push(() => server.close());
  const client = new SQSClient({ endpoint, ...access });
  await client.send(new CreateQueueCommand({ QueueName: "there.fifo", Attributes: { FifoQueue: "true" } }));
  client.destroy();
  return endpoint;
}

function open(queueUrl: string) {
  const bounds = { maxPending: 10, pollers: 1, maxPrefetched: 10, visibilityTimeoutSeconds: 30 };
  const queue = createSqs({ queueUrl, sendTimeoutMs: 1_000, ...bounds, ...access });
  closing.push(queue.close);
  return queue;
}

test("a queue that is not there is named; one that is, and one whose server is away, are no problem", async () => {
  const endpoint = await startServer();
  const missing = `${endpoint}/000000000000/missing.fifo`;
  await expect(open(missing).checkExists()).rejects.toMatchObject({
    code: "sqs_queue_missing",
    value: missing,
    message: expect.stringContaining(missing),
  });
  await open(`${endpoint}/000000000000/there.fifo`).checkExists();
  await open("http://127.0.0.1:1/000000000000/away.fifo").checkExists();
});

test("what waits is counted, with what somebody has received", async () => {
  const queue = open(`${await startServer()}/000000000000/there.fifo`);
  expect(await queue.waiting()).toBe(0);
  const producer = queue.producer();
  for (const key of ["a", "b", "c"]) await producer.send({ key, payload: key, deduplicationId: key });
  expect(await queue.waiting()).toBe(3);
  await queue.consumer().receive(1);
  expect(await queue.waiting()).toBe(3);
});
