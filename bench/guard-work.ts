import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { createGateway } from "../services/gateway/gateway.ts";
import { generateKey, type TenantDocument, writeKeyOf } from "../services/gateway/tenants/tenant.ts";
import { createMemoryDocumentStore } from "../shared/adapters/memory/memory-document-store.ts";
import { createMemoryLinkStore } from "../shared/adapters/memory/memory-link-store.ts";
import { createMemoryProfileStore } from "../shared/adapters/memory/memory-profile-store.ts";
import { createMemoryRateStore } from "../shared/adapters/memory/memory-rate-store.ts";
import { apply } from "../shared/domain/apply.ts";
import { NO_DEFINITIONS } from "../shared/domain/definitions/compile.ts";
import { withoutPending } from "../shared/domain/profile.ts";
import { until } from "../test/support/until.ts";
import { shop } from "./definitions.ts";
import { createEmbeddedPublisher, MAX_UNDER_WAY } from "./embedded-publisher.ts";
import { createMemoryFlow, deliveriesOf } from "./memory-flow.ts";
import { segmentBatch } from "./segment-batch.ts";
import { compiled, HISTORY, historyOf, limits, START_MS, updateOf } from "./shop-history.ts";
import { createBenchUpdates, evenly } from "./updates.ts";

/** Work of the same size whenever it is done. */
export type Work = { updates: number; run(): Promise<void> | void };

const FLOW_UPDATES = 5_000;
const FLOW_USERS = 1_000;
const APPLIED_UPDATES = 10_000;
/** So few that their profiles fit in a processor's cache. */
const APPLIED_USERS = 50;
const CALLS = 100;
const REQUESTS = 100;
const CONNECTIONS = 16;
const BODIES = 64;

const deliveries = deliveriesOf(createBenchUpdates(evenly(FLOW_USERS)), 0, FLOW_UPDATES);
const definitions = compiled(shop.attributes, shop.audiences);

/** What the others are counted in: each envelope read and written once as JSON. */
export const unit: Work = {
  updates: FLOW_UPDATES,
  run() {
    let length = 0;
    for (const { payload } of deliveries) length += JSON.stringify(JSON.parse(payload)).length;
    if (length === 0) throw new Error("nothing was written");
  },
};

/** The service's flow from delivery to acknowledgement, on a profile store in memory that is empty at first. */
export function flowWork(isDefined: boolean): Work {
  return {
    updates: FLOW_UPDATES,
    async run() {
      const flow = createMemoryFlow({
        store: createMemoryProfileStore({ maxProfiles: FLOW_USERS }),
        definitions: isDefined ? definitions : NO_DEFINITIONS,
      });
      await flow.drain(deliveries);
      await flow.close();
    },
  };
}

/** Folding and evaluating 20 attributes and 50 audiences, without reading and writing records. */
export function applyWork(): Work {
  const histories = Array.from({ length: APPLIED_USERS }, (_, user) => historyOf(user, definitions));
  const updates = Array.from({ length: APPLIED_UPDATES }, (_, n) => [
    updateOf(n % APPLIED_USERS, HISTORY + 1 + Math.floor(n / APPLIED_USERS)),
  ]);
  return {
    updates: APPLIED_UPDATES,
    run() {
      const profiles = [...histories];
      updates.forEach((each, n) => {
        const user = n % APPLIED_USERS;
        profiles[user] = withoutPending(apply(profiles[user]!, each, limits, START_MS, definitions).profile);
      });
    },
  };
}

/** The gateway's way of a request of 100 calls, from its body to its answer, without a socket. */
export async function gatewayWork(): Promise<Work & { close(): Promise<void> }> {
  const writeKey = generateKey();
  const { server, close } = await openGateway(writeKey);
  const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString("base64")}`;
  const headers = { "content-type": "application/json", authorization };
  const bodies = Array.from({ length: BODIES }, (_, n) => segmentBatch(CALLS, n));
  const post = async (payload: Buffer) =>
    (await server.inject({ method: "POST", url: "/v1/batch", headers, payload })).statusCode;
  await until("the gateway knows its tenant", async () => (await post(bodies[0]!)) === 200);
  return {
    updates: REQUESTS * CALLS,
    async run() {
      let sent = 0;
      const lane = async () => {
        while (sent < REQUESTS) {
          const status = await post(bodies[sent++ % BODIES]!);
          if (status !== 200) throw new Error(`answered ${status}`);
        }
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, lane));
    },
    close,
  };
}

async function openGateway(writeKey: string): Promise<{ server: FastifyInstance; close(): Promise<void> }> {
  const tenantStore = createMemoryDocumentStore({ maxEntries: 10 });
  const document: TenantDocument = { writeKeys: [writeKeyOf(writeKey, Date.now())], quotas: {} };
  await tenantStore.replace("guarded", 0, { version: Date.now(), document: JSON.stringify(document) });
  const rateStore = createMemoryRateStore({ maxBuckets: 10 });
  return createGateway({
    publisher: createEmbeddedPublisher(),
    tenantStore,
    schemaStore: createMemoryDocumentStore({ maxEntries: 10 }),
    rateStore,
    localRateStore: rateStore,
    linkStore: createMemoryLinkStore({ maxUsers: 10 }),
    settings: {
      adminToken: "",
      maxUnderWay: MAX_UNDER_WAY,
      maxBodyBytes: 67_108_864,
      maxImportBytes: 1_073_741_824,
    },
    log: pino({ level: "fatal" }),
    now: Date.now,
  });
}
