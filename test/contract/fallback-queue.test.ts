import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { afterEach, describe, expect, inject, it, vi } from "vitest";
import { createQueue, localSqsClient } from "../../localstack/create-queues.ts";
import { startEmbeddedSqs } from "../../shared/adapters/memory/embedded-sqs.ts";
import { createSqs, type SqsOptions } from "../../shared/adapters/sqs/sqs.ts";
import { describeFallbackQueue } from "./fallback-queue.ts";
import { describeFallbackQueueLimits } from "./fallback-queue-limits.ts";
import type { OpenFallbackQueue } from "./fallback-queue-subject.ts";

const settings = {
  maxPending: 5_000,
  sendTimeoutMs: 10_000,
  pollers: 3,
  maxPrefetched: 100,
  visibilityTimeoutSeconds: 30,
  // A poll that its client gave up takes messages at LocalStack until it ends; see embedded-sqs.ts.
  longPollSeconds: 1,
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
};
const message = { key: "a", payload: "{}", deduplicationId: "one" };

const embedded =
  (queueCount: number): OpenFallbackQueue =>
  async (changes) => {
    const { queue, close } = await startEmbeddedSqs({ ...changes, queueCount });
    const queueUrls = queue.description.match(/http:\S+/g) ?? [];
    return { queue, inFlightCount: () => inFlightCount(queueUrls), close };
  };

const localStack =
  (queueCount: number): OpenFallbackQueue =>
  async (changes) => {
    const { sqsEndpoint } = inject("servers");
    const queueUrls = await Promise.all(Array.from({ length: queueCount }, () => someQueue(sqsEndpoint)));
    const queue = createSqs({ ...settings, ...changes, queueUrl: queueUrls.join(",") });
    return { queue, inFlightCount: () => inFlightCount(queueUrls), close: () => queue.close() };
  };

for (const describeAll of [describeFallbackQueue, describeFallbackQueueLimits]) {
  describeAll("embedded", embedded(1));
  describeAll("embedded, two queues", embedded(2));
  describeAll("LocalStack", localStack(1));
  describeAll("LocalStack, two queues", localStack(2));
}

describe("fallback queue: SQS that fails", () => {
  const cleanUps: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  function open(queueUrl: string, options: Partial<SqsOptions> = {}) {
    const errors: Error[] = [];
    const queue = createSqs({ ...settings, queueUrl, onError: (error) => errors.push(error), ...options });
    cleanUps.push(() => queue.close());
    return { queue, errors };
  }

  async function listen(
    onConnection: (socket: Socket) => void,
    port = 0,
  ): Promise<{ port: number; stop(): void }> {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      onConnection(socket);
    });
    await once(server.listen(port, "127.0.0.1"), "listening");
    const stop = () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    };
    cleanUps.push(stop);
    return { port: (server.address() as AddressInfo).port, stop };
  }

  it("rejects a send soon when nothing listens, and a receive waits", async () => {
    const { port, stop } = await listen(() => {});
    stop();
    const { queue, errors } = open(`http://127.0.0.1:${port}/000000000000/away.fifo`);
    const consumer = queue.consumer();
    const received = vi.fn();
    const receiving = consumer.receive(10).then(received);
    const startedMs = performance.now();
    await expect(queue.producer().send(message)).rejects.toMatchObject({
      code: "queue_not_connected",
      retryable: true,
    });
    expect(performance.now() - startedMs).toBeLessThan(settings.sendTimeoutMs);
    await vi.waitFor(() => expect(errors.length).toBeGreaterThan(3), { timeout: 10_000 });
    expect(consumer.connected()).toBe(false);
    expect(received).not.toHaveBeenCalled();
    await consumer.close();
    await receiving;
    expect(received).toHaveBeenCalledWith([]);
  });

  it("rejects a send in time when SQS hangs, and closes in time", async () => {
    let connections = 0;
    const { port } = await listen((socket) => {
      connections++;
      socket.resume();
    });
    const { queue } = open(`http://127.0.0.1:${port}/000000000000/hangs.fifo`, { sendTimeoutMs: 500 });
    const producer = queue.producer();
    const startedMs = performance.now();
    for (let wave = 1; wave <= 2; wave++) {
      // More than all requests at once can take.
      const sends = Array.from({ length: 200 }, (_, index) => producer.send({ ...message, key: `${index}` }));
      for (const result of await Promise.allSettled(sends)) {
        const reason = { code: "queue_send_timeout", retryable: true };
        expect(result).toMatchObject({ status: "rejected", reason });
      }
      // The requests of the first wave were given up, so that those of the second have their place.
      expect(connections).toBeGreaterThanOrEqual(wave * 16);
    }
    expect(performance.now() - startedMs).toBeLessThan(3_000);
    const consumer = queue.consumer();
    const closingMs = performance.now();
    await consumer.close();
    await queue.close();
    expect(performance.now() - closingMs).toBeLessThan(3_000);
  });

  it("does not say that SQS never had a message when the connection breaks before the answer", async () => {
    const { port } = await listen((socket) => socket.once("data", () => socket.destroy()));
    const { queue } = open(`http://127.0.0.1:${port}/000000000000/breaks.fifo`);
    await expect(queue.producer().send(message)).rejects.toMatchObject({ code: "queue_send_timeout" });
  });

  it("says what SQS said when there is no such queue", async () => {
    const { queue } = open(`${inject("servers").sqsEndpoint}/000000000000/missing.fifo`);
    const refused = queue.producer().send(message);
    await expect(refused).rejects.toMatchObject({ code: "queue_send_refused", retryable: false });
    await expect(refused).rejects.toThrow(/QueueDoesNotExist|NonExistentQueue/);
  });

  it("goes on by itself when SQS comes back", async () => {
    const endpoint = new URL(inject("servers").sqsEndpoint);
    const target = await someQueue(endpoint.origin);
    const { port, stop } = await listen(() => {});
    stop();
    const { queue } = open(`http://127.0.0.1:${port}${new URL(target).pathname}`);
    const consumer = queue.consumer();
    const receiving = consumer.receive(1);
    await vi.waitFor(() => expect(consumer.connected()).toBe(false), { timeout: 10_000 });
    await listen((socket) => {
      const upstream = connect(Number(endpoint.port), endpoint.hostname);
      upstream.on("error", () => socket.destroy());
      socket.on("close", () => upstream.destroy());
      socket.pipe(upstream).pipe(socket);
    }, port);
    await queue.producer().send(message);
    expect(await receiving).toMatchObject([{ key: "a" }]);
    await vi.waitFor(() => expect(consumer.connected()).toBe(true), { timeout: 10_000 });
  });

  it("refuses what is not the URL of a FIFO queue, quoting it", () => {
    for (const queueUrl of [
      "",
      "updates.fifo",
      "ftp://127.0.0.1/q.fifo",
      "https://sqs.eu-west-1.amazonaws.com/1/q",
    ]) {
      const refused = expect(() => createSqs({ ...settings, queueUrl }));
      refused.toThrow(expect.objectContaining({ code: "bad_sqs_queue_url", value: queueUrl }));
    }
  });
});

async function someQueue(endpoint: string): Promise<string> {
  const client = localSqsClient(endpoint);
  const name = `test-${randomUUID()}.fifo`;
  await createQueue(client, name);
  client.destroy();
  // LocalStack's own URL has a host name that only its DNS server knows.
  return `${endpoint}/000000000000/${name}`;
}

async function inFlightCount(queueUrls: readonly string[]): Promise<number> {
  const attribute = "ApproximateNumberOfMessagesNotVisible";
  let sum = 0;
  for (const queueUrl of queueUrls) {
    const client = localSqsClient(new URL(queueUrl).origin);
    const command = new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: [attribute] });
    const { Attributes } = await client.send(command);
    client.destroy();
    sum += Number(Attributes?.[attribute]);
  }
  return sum;
}
