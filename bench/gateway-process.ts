/**
 * A server to be measured, as a process of its own: the gateway with a publisher on an embedded broker, or a bare
 * Fastify that parses and answers. Prints its URL, and the write key that the gateway takes.
 * Arguments: which of them, the gateway's ADMIN_TOKEN.
 */
import { fastify } from "fastify";
import { pino } from "pino";
import { startDemoGateway } from "../services/embedded/demo-gateway.ts";
import { MAX_REQUEST_BYTES } from "../services/gateway/limits.ts";
import { createMemoryDocumentStore } from "../shared/adapters/memory/memory-document-store.ts";
import { createEmbeddedPublisher, MAX_UNDER_WAY } from "./embedded-publisher.ts";

type Measured = { url: string; writeKey: string };

const { url, writeKey } = process.argv[2] === "bare" ? await startBare() : await startMeasuredGateway();
console.log(JSON.stringify({ url, writeKey }));
// Node writes a profile (`--cpu-prof`) at an orderly end only.
process.once("SIGTERM", () => process.exit());

async function startBare(): Promise<Measured> {
  const server = fastify({ bodyLimit: MAX_REQUEST_BYTES });
  server.post("/v1/batch", (request) => ({
    success: (request.body as { batch: unknown[] }).batch.length > 0,
  }));
  return { url: await server.listen({ host: "127.0.0.1", port: 0 }), writeKey: "" };
}

async function startMeasuredGateway(): Promise<Measured> {
  return startDemoGateway({
    publisher: createEmbeddedPublisher(),
    tenantStore: createMemoryDocumentStore({ maxEntries: 10 }),
    settings: {
      gatewayHost: "127.0.0.1",
      gatewayPort: 0,
      adminToken: process.argv[3]!,
      maxUnderWay: MAX_UNDER_WAY,
      maxBodyBytes: 67_108_864,
      maxImportBytes: 1_073_741_824,
    },
    log: pino({ level: "fatal" }),
  });
}
