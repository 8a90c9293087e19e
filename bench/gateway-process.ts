/**
 * A server to be measured, as a process of its own: the gateway with a publisher on an embedded broker, or a bare
 * Fastify that parses and answers. Prints its URL.
 */
import { fastify } from "fastify";
import { pino } from "pino";
import { startGateway } from "../services/gateway/gateway.ts";
import { MAX_REQUEST_BYTES } from "../services/gateway/limits.ts";
import { writeKeyOf } from "../services/gateway/tenants/tenant.ts";
import { createMemoryBroker } from "../shared/adapters/memory/memory-broker.ts";
import { createMemoryDocumentStore } from "../shared/adapters/memory/memory-document-store.ts";
import { createMemoryRateStore } from "../shared/adapters/memory/memory-rate-store.ts";
import { createPublisher } from "../shared/publish/publisher.ts";
import { topicsOf } from "../shared/runtime/topics.ts";

const [kind, writeKey = ""] = process.argv.slice(2);
const url = kind === "bare" ? await startBare() : await startMeasuredGateway();
console.log(JSON.stringify({ url }));

async function startBare(): Promise<string> {
  const server = fastify({ bodyLimit: MAX_REQUEST_BYTES });
  server.post("/v1/batch", (request) => ({
    success: (request.body as { batch: unknown[] }).batch.length > 0,
  }));
  return server.listen({ host: "127.0.0.1", port: 0 });
}

async function startMeasuredGateway(): Promise<string> {
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
  const tenantStore = createMemoryDocumentStore({ maxEntries: 10 });
  const document = JSON.stringify({ writeKeys: [writeKeyOf(writeKey, Date.now())], quotas: {} });
  await tenantStore.replace("bench", 0, { version: Date.now(), document });
  const rateStore = createMemoryRateStore({ maxBuckets: 10 });
  const gateway = await startGateway({
    ...{ publisher, tenantStore, rateStore, localRateStore: rateStore },
    settings: { gatewayHost: "127.0.0.1", gatewayPort: 0, adminToken: "bench-token", maxUnderWay: 20_000 },
    log: pino({ level: "fatal" }),
    now: Date.now,
  });
  return gateway.url;
}
