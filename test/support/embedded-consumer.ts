/** A consumer and a publisher in this process, on an embedded broker, an embedded SQS and stores in memory. */
import { Registry } from "prom-client";
import { consumerSettings } from "../../services/audience-update/settings.ts";
import { createUpdateConsumer, type UpdateConsumer } from "../../services/audience-update/update-consumer.ts";
import { createUpdateMetrics, type UpdateMetrics } from "../../services/audience-update/update-metrics.ts";
import { startEmbeddedSqs } from "../../shared/adapters/memory/embedded-sqs.ts";
import { createMemoryBroker, type MemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryDueStore } from "../../shared/adapters/memory/memory-due-store.ts";
import { createMemoryMemberStore } from "../../shared/adapters/memory/memory-member-store.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import type { DueStore } from "../../shared/ports/due-store.ts";
import type { Path, UpdateQueue } from "../../shared/ports/update-queue.ts";
import { openPublisher } from "../../shared/publish/open-publisher.ts";
import type { Publisher } from "../../shared/publish/publisher.ts";
import {
  breakerSettings,
  connectionSettings,
  sharedSettings,
} from "../../shared/runtime/connection-settings.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { publisherSettings } from "../../shared/runtime/publisher-settings.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { type Topics, topicsOf } from "../../shared/runtime/topics.ts";
import { until } from "./until.ts";

const { pulsarNamespace, pulsarSendTimeoutMs } = connectionSettings;
const settings = readSettings(
  {
    ...{ pulsarNamespace, pulsarSendTimeoutMs },
    ...breakerSettings,
    ...consumerSettings,
    ...publisherSettings,
    ...sharedSettings,
  },
  {
    BREAKER_MIN_OPEN_MS: "100",
    CANARY_INTERVAL_MS: "100",
    CANARY_TIMEOUT_MS: "200",
    PULSAR_SEND_TIMEOUT_MS: "200",
  },
);
const MAX_ENTRIES = 10_000;

export type EmbeddedConsumer = {
  broker: MemoryBroker;
  sqs: { queue: UpdateQueue; ledgerQueue: UpdateQueue; changesQueue: UpdateQueue };
  dueStore: DueStore;
  tenantStore: DocumentStore;
  consumer: UpdateConsumer;
  metrics: UpdateMetrics;
  publisher: Publisher;
  topics: Topics;
  routeIs(path: Path): Promise<void>;
  close(): Promise<void>;
};

/** Quick to open its breaker and to close it. Receives already. */
export async function startEmbeddedConsumer(): Promise<EmbeddedConsumer> {
  const log = createLog("test", "fatal");
  const lifecycle = createLifecycle(log);
  const broker = lifecycle.own("broker", createMemoryBroker());
  const sqs = lifecycle.own("SQS", await startEmbeddedSqs());
  const dueStore = lifecycle.own("due store", createMemoryDueStore({ maxEntries: MAX_ENTRIES }));
  const definitionStore = lifecycle.own(
    "definition store",
    createMemoryDocumentStore({ maxEntries: MAX_ENTRIES, now: Date.now }),
  );
  const [tenantStore, settingsStore] = ["tenants", "settings"].map((name) =>
    lifecycle.own(`store of ${name}`, createMemoryDocumentStore({ maxEntries: MAX_ENTRIES })),
  ) as [DocumentStore, DocumentStore];
  const metrics = createUpdateMetrics(new Registry(), () => consumer.flow.counts());
  const consumer = lifecycle.own(
    "consumer",
    createUpdateConsumer({
      primary: broker,
      fallback: sqs.queue,
      ledgerQueue: sqs.ledgerQueue,
      changesQueue: sqs.changesQueue,
      store: lifecycle.own("store", createMemoryProfileStore({ maxProfiles: MAX_ENTRIES })),
      routeStore: lifecycle.own("route store", createMemoryRouteStore()),
      ...{ definitionStore, tenantStore, settingsStore, dueStore },
      memberStore: lifecycle.own("member store", createMemoryMemberStore({ maxEntries: MAX_ENTRIES })),
      settings,
      metrics,
      log,
      now: Date.now,
    }),
  );
  const { routing } = consumer;
  const { publisher } = openPublisher(lifecycle, {
    ...{ primary: broker, fallback: sqs.queue, routing, settings, log, now: Date.now },
  });
  consumer.flow.start();
  return {
    ...{ broker, sqs, dueStore, tenantStore, consumer, metrics, publisher },
    topics: topicsOf(settings.pulsarNamespace),
    routeIs: (path) => until(`the route is ${path}`, () => routing.router.route().path === path),
    close: lifecycle.close,
  };
}
