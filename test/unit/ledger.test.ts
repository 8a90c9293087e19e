import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { consumerSettings } from "../../services/audience-update/settings.ts";
import { createUpdateConsumer } from "../../services/audience-update/update-consumer.ts";
import { createUpdateMetrics } from "../../services/audience-update/update-metrics.ts";
import { startEmbeddedSqs } from "../../shared/adapters/memory/embedded-sqs.ts";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import { openPublisher } from "../../shared/publish/open-publisher.ts";
import {
  breakerSettings,
  connectionSettings,
  publisherSettings,
  sharedSettings,
} from "../../shared/runtime/connection-settings.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { compareLedger, identityOf } from "../support/read-ledger.ts";
import { until } from "../support/until.ts";

const { pulsarNamespace, pulsarSendTimeoutMs } = connectionSettings;
const all = {
  ...{ pulsarNamespace, pulsarSendTimeoutMs },
  ...breakerSettings,
  ...consumerSettings,
  ...publisherSettings,
  ...sharedSettings,
};
const settings = readSettings(all, {
  BREAKER_MIN_OPEN_MS: "100",
  CANARY_INTERVAL_MS: "100",
  CANARY_TIMEOUT_MS: "200",
  PULSAR_SEND_TIMEOUT_MS: "200",
});

test("after an outage the ledger holds every update, and each counts once", async () => {
  const log = createLog("test", "fatal");
  const lifecycle = createLifecycle(log);
  const broker = lifecycle.own("broker", createMemoryBroker());
  const { queue, ledgerQueue, close } = await startEmbeddedSqs();
  lifecycle.own("SQS", { close });
  const metrics = createUpdateMetrics(new Registry(), () => consumer.flow.counts());
  const consumer = lifecycle.own(
    "consumer",
    createUpdateConsumer({
      primary: broker,
      fallback: queue,
      ledgerQueue,
      store: lifecycle.own("store", createMemoryProfileStore({ maxProfiles: 100 })),
      routeStore: lifecycle.own("route store", createMemoryRouteStore()),
      settings,
      metrics,
      log,
      now: Date.now,
    }),
  );
  const { routing } = consumer;
  const { publisher } = openPublisher(lifecycle, {
    primary: broker,
    fallback: queue,
    routing,
    settings,
    log,
  });
  consumer.flow.start();

  const acknowledged = new Set<string>();
  const publish = async (n: number) => {
    const userId = `u${n % 50}`;
    const receipt = await publisher.user("shop", userId).increment({ n: 1 });
    acknowledged.add(identityOf({ userId, ...receipt }));
    return receipt.path;
  };
  const publishMany = (count: number) => Promise.all(Array.from({ length: count }, (_, n) => publish(n)));
  const routeIs = (path: string) => until(`the route is ${path}`, () => routing.router.route().path === path);

  await publishMany(200);
  broker.break();
  await routeIs("sqs");
  expect(new Set(await publishMany(500))).toEqual(new Set(["sqs"]));
  await until("all over SQS is kept", () => metrics.ledgerCounts().kept >= 500);
  expect(metrics.ledgerCounts().completed).toBe(0);

  broker.heal();
  await routeIs("pulsar");
  await until("all of it is completed", () => metrics.ledgerCounts().completed >= 500);
  const { updates } = topicsOf(settings.pulsarNamespace);
  expect(await compareLedger(broker, updates, acknowledged)).toMatchObject({ missing: [], unexpected: [] });
  await until("all is settled", () => consumer.flow.counts().messages === 0);
  const { pulsar, sqs } = metrics.counted();
  expect([acknowledged.size, pulsar + sqs]).toEqual([700, 700]);
  await lifecycle.close();
});
