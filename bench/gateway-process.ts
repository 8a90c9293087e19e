/**
 * A server to be measured, as a process of its own: the gateway with a publisher on an embedded broker, or a bare
 * Fastify that parses and answers. Prints its URL, and the write key that the gateway takes.
 * Arguments: which of them, the gateway's ADMIN_TOKEN.
 */
import { fastify } from "fastify";
import { pino } from "pino";
import { startDemoGateway } from "../services/embedded/demo-gateway.ts";
import { MAX_REQUEST_BYTES } from "../services/gateway/limits.ts";
import { createMemoryBroker } from "../shared/adapters/memory/memory-broker.ts";
import { createMemoryDocumentStore } from "../shared/adapters/memory/memory-document-store.ts";
import { createPublisher } from "../shared/publish/publisher.ts";
import { topicsOf } from "../shared/runtime/topics.ts";

type Measured = { url: string; writeKey: string };

const { url, writeKey } = process.argv[2] === "bare" ? await startBare() : await startMeasuredGateway();
console.log(JSON.stringify({ url, writeKey }));

async function startBare(): Promise<Measured> {
  const server = fastify({ bodyLimit: MAX_REQUEST_BYTES });
  server.post("/v1/batch", (request) => ({
    success: (request.body as { batch: unknown[] }).batch.length > 0,
  }));
  return { url: await server.listen({ host: "127.0.0.1", port: 0 }), writeKey: "" };
}

async function startMeasuredGateway(): Promise<Measured> {
  const broker = createMemoryBroker({ partitions: 4, maxRetainedMessages: 1_000 });
  const { updates: topic } = topicsOf("public/keyline");
  const producer = broker.producer({ topic, sendTimeoutMs: 5_000, maxPending: 10_000 });
  const publisher = createPublisher({
    primary: producer,
    fallback: producer,
    breaker: { guard: (send: () => Promise<unknown>) => send() } as never,
    route: () => ({ path: "pulsar", by: "fleet" }) as never,
    tail: { add: () => {}, resent: () => 0 },
    deadlineMs: 3_000,
    maxUnderWay: 20_000,
    maxPending: { pulsar: 10_000, sqs: 10_000 },
    maxUsers: 1_000_000,
    maxUpdateBytes: 131_072,
    now: Date.now,
  });
  return startDemoGateway({
    publisher,
    tenantStore: createMemoryDocumentStore({ maxEntries: 10 }),
    settings: {
      gatewayHost: "127.0.0.1",
      gatewayPort: 0,
      adminToken: process.argv[3]!,
      maxUnderWay: 20_000,
      maxBodyBytes: 67_108_864,
      maxImportBytes: 1_073_741_824,
    },
    log: pino({ level: "fatal" }),
  });
}
