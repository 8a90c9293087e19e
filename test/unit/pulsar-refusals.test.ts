import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, test, vi } from "vitest";
import { WebSocketServer } from "ws";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import { createBreaker } from "../../shared/routing/breaker.ts";

/** Sends to a Pulsar that answers everything with this error, through a breaker. */
async function refuseAll(errorMsg: string) {
  const server = new WebSocketServer({ port: 0 });
  server.on("connection", (socket) => {
    socket.on("message", (data) => {
      const { context } = JSON.parse(data.toString());
      socket.send(JSON.stringify({ result: "send-error:1", errorMsg, context }));
    });
  });
  await once(server, "listening");
  const queue = createPulsarWebSocket({ url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const limits = { windowMs: 60_000, errorPercent: 50, minCalls: 3, minOpenMs: 5_000, goodSamplesToClose: 3 };
  const breaker = createBreaker({ ...limits, now: Date.now });
  const topic = "persistent://public/default/updates";
  const producer = queue.producer({ topic, sendTimeoutMs: 2_000, maxPending: 10 });
  try {
    await vi.waitFor(() => expect(producer.connected()).toBe(true));
    const message = { key: "a", payload: "{}", deduplicationId: "one" };
    let error: unknown;
    for (let i = 0; i < 3; i += 1)
      error = await breaker.sample(() => producer.send(message)).then((thrown) => thrown ?? error);
    return { error, state: breaker.state().state };
  } finally {
    breaker.close();
    await queue.close();
    await new Promise((closed) => server.close(closed));
  }
}

test.each([
  "org.apache.pulsar.client.api.PulsarClientException$ProducerBlockedQuotaExceededException: backlog quota",
  "org.apache.pulsar.client.api.PulsarClientException$ProducerBlockedQuotaExceededError",
  "org.apache.pulsar.client.api.PulsarClientException$AuthorizationException: no permission",
  "something that no version had before",
])("what the broker refuses whatever the message opens the breaker: %s", async (errorMsg) => {
  const { error, state } = await refuseAll(errorMsg);
  expect(error).toMatchObject({ code: "queue_blocked", retryable: true });
  expect(state).toBe("open");
});

test.each([
  ["org.apache.pulsar.client.api.PulsarClientException$InvalidMessageException: too big", false],
  ["org.apache.pulsar.client.api.PulsarClientException$IncompatibleSchemaException: no", false],
  ["org.apache.pulsar.client.api.PulsarClientException$NotAllowedException: exceeds maximum size", false],
  [
    "org.apache.pulsar.client.api.PulsarClientException$ProducerQueueIsFullError: Producer send queue is full",
    true,
  ],
  ["org.apache.pulsar.client.api.PulsarClientException$MemoryBufferIsFullError", true],
])("what is the message's fault or this process's leaves it closed: %s", async (errorMsg, retryable) => {
  const { error, state } = await refuseAll(errorMsg);
  expect(error).toMatchObject({ code: "queue_send_refused", retryable });
  expect(state).toBe("closed");
});
