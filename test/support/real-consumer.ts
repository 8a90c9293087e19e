/** The consumer of the service in this process, on an installation's real servers, by any clock. */
import { Registry } from "prom-client";
import { audienceUpdateSettings } from "../../services/audience-update/settings.ts";
import { createUpdateConsumer, type UpdateConsumer } from "../../services/audience-update/update-consumer.ts";
import { createUpdateMetrics, type UpdateMetrics } from "../../services/audience-update/update-metrics.ts";
import { waitingQueueUrls } from "../../services/audience-update/waiting-queues.ts";
import { openExistingQueues, openPrimaryQueue, openStores, type Stores } from "../../shared/adapters/open.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import { openPublisher } from "../../shared/publish/open-publisher.ts";
import type { Publisher } from "../../shared/publish/publisher.ts";
import type { Lifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { type Topics, topicsOf } from "../../shared/runtime/topics.ts";
import { type Installation, patientEnvironment } from "./installation.ts";
import { until } from "./until.ts";

export type RealConsumer = {
  primary: PrimaryQueue;
  /** Of the SQS queues in which messages wait for Pulsar. */
  urls: ReturnType<typeof waitingQueueUrls>;
  stores: Stores;
  metrics: UpdateMetrics;
  consumer: UpdateConsumer;
  publisher: Publisher;
  topics: Topics;
};

/**
 * Receives already. All of it is the lifecycle's.
 *
 * @param now milliseconds since the epoch, for everything but the servers
 */
export async function startRealConsumer(
  installation: Installation,
  lifecycle: Lifecycle,
  { settings: given = {}, now = Date.now }: { settings?: Record<string, string>; now?: () => number } = {},
): Promise<RealConsumer> {
  const log = createLog("test", "fatal");
  const environment = {
    ...installation.environment,
    ...patientEnvironment,
    ADMIN_TOKEN: "test-token",
    ...given,
  };
  const settings = readSettings(audienceUpdateSettings, environment);
  const primary = lifecycle.own("primary queue", await openPrimaryQueue(settings, log));
  const urls = waitingQueueUrls(settings);
  const queues = await openExistingQueues(
    {
      fallback: settings,
      ledgerQueue: { ...settings, sqsQueueUrl: urls.ledger },
      changesQueue: { ...settings, sqsQueueUrl: urls.changes },
    },
    lifecycle,
    log,
  );
  const { connection, ...stores } = openStores(settings);
  lifecycle.own("Redis", connection);
  await until("Redis answers", () =>
    stores.store.ping().then(
      () => true,
      () => false,
    ),
  );
  const metrics = createUpdateMetrics(new Registry(), () => consumer.flow.counts());
  const consumer = lifecycle.own(
    "consumer",
    createUpdateConsumer({ primary, ...queues, ...stores, settings, metrics, log, now }),
  );
  const { routing } = consumer;
  const { fallback } = queues;
  const { publisher } = openPublisher(lifecycle, { primary, fallback, routing, settings, log, now });
  consumer.flow.start();
  return {
    ...{ primary, urls, stores, metrics, consumer, publisher },
    topics: topicsOf(settings.pulsarNamespace),
  };
}
