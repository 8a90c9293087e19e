/** The audience-update service that is fuzzed: as it is, on embedded queues and stores in memory. */
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { startAudienceUpdate } from "../../services/audience-update/audience-update.ts";
import { consumerSettings } from "../../services/audience-update/settings.ts";
import { startEmbeddedSqs } from "../../shared/adapters/memory/embedded-sqs.ts";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryDueStore } from "../../shared/adapters/memory/memory-due-store.ts";
import { createMemoryMemberStore } from "../../shared/adapters/memory/memory-member-store.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import { openPublisher } from "../../shared/publish/open-publisher.ts";
import type { Publisher } from "../../shared/publish/publisher.ts";
import {
  breakerSettings,
  connectionSettings,
  sharedSettings,
} from "../../shared/runtime/connection-settings.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { publisherSettings } from "../../shared/runtime/publisher-settings.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { NAMED_TOKEN, NAMELESS_TOKEN, READERS_TOKEN } from "./arbitrary-service-request.ts";

export type Toggle = { route: "pulsar" | "sqs" | "auto"; reason: string; name: string; expiresInMs?: number };

export type FuzzedService = {
  server: FastifyInstance;
  port: number;
  publisher: Publisher;
  definitionStore: DocumentStore;
  settingsStore: DocumentStore;
  /** How often operators have changed the route, and the last time. */
  toggles(): { count: number; last: Toggle | undefined };
  /** The last error in its log since this was asked before. */
  lastError(): string;
  close(): Promise<void>;
};

const { pulsarNamespace, pulsarSendTimeoutMs } = connectionSettings;
const settings = readSettings(
  {
    ...{ pulsarNamespace, pulsarSendTimeoutMs },
    ...breakerSettings,
    ...consumerSettings,
    ...publisherSettings,
    ...sharedSettings,
  },
  {},
);
/** Few, so that what fills them up to their bounds does so within the first tenth. */
const MAX_ENTRIES = 1_000;

export async function startFuzzedService(): Promise<FuzzedService> {
  let logged = "";
  const remember = (line: string) => {
    logged = line;
  };
  const log = pino({ level: "error" }, { write: remember });
  const lifecycle = createLifecycle(log);
  const primary = lifecycle.own("broker", createMemoryBroker({ maxRetainedMessages: MAX_ENTRIES }));
  const sqs = lifecycle.own("SQS", await startEmbeddedSqs());
  const [definitionStore, tenantStore, settingsStore] = ["definitions", "tenants", "settings"].map((name) =>
    lifecycle.own(`store of ${name}`, createMemoryDocumentStore({ maxEntries: MAX_ENTRIES })),
  ) as [DocumentStore, DocumentStore, DocumentStore];
  const { routeStore, toggles } = countToggles();
  const opened = Promise.withResolvers<FastifyInstance>();
  const service = lifecycle.own(
    "service",
    await startAudienceUpdate({
      ...{ primary, fallback: sqs.queue, ledgerQueue: sqs.ledgerQueue, changesQueue: sqs.changesQueue },
      store: lifecycle.own("store", createMemoryProfileStore({ maxProfiles: MAX_ENTRIES })),
      dueStore: lifecycle.own("due store", createMemoryDueStore({ maxEntries: MAX_ENTRIES })),
      memberStore: lifecycle.own("member store", createMemoryMemberStore({ maxEntries: 10 * MAX_ENTRIES })),
      ...{
        definitionStore,
        tenantStore,
        settingsStore,
        routeStore: lifecycle.own("route store", routeStore),
      },
      settings: {
        ...{ ...settings, adminHost: "127.0.0.1", adminPort: 0 },
        ...{ adminToken: `ada=${NAMED_TOKEN},${NAMELESS_TOKEN}`, readToken: READERS_TOKEN },
      },
      log,
      extendServer: opened.resolve,
    }),
  );
  const { publisher } = openPublisher(lifecycle, {
    ...{ primary, fallback: sqs.queue, routing: service.routing, settings, log, now: Date.now },
  });
  return {
    server: await opened.promise,
    port: Number(new URL(service.adminUrl).port),
    ...{ publisher, definitionStore, settingsStore, toggles },
    lastError() {
      const line = logged;
      logged = "";
      return line;
    },
    close: lifecycle.close,
  };
}

function countToggles() {
  const store = createMemoryRouteStore({ maxAuditLines: MAX_ENTRIES });
  let count = 0;
  let last: Toggle | undefined;
  const toggled = (toggle: Toggle) => {
    count += 1;
    last = toggle;
  };
  return {
    toggles: () => ({ count, last }),
    routeStore: {
      ...store,
      override(override: Parameters<typeof store.override>[0]) {
        toggled(override);
        return store.override(override);
      },
      clearOverride(by: Parameters<typeof store.clearOverride>[0]) {
        toggled({ ...by, route: "auto" });
        return store.clearOverride(by);
      },
    },
  };
}
