import { Registry } from "prom-client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { localAwsEnvironment } from "../../localstack/create-queues.ts";
import { audienceUpdateSettings } from "../../services/audience-update/settings.ts";
import { createUpdateConsumer } from "../../services/audience-update/update-consumer.ts";
import { createUpdateMetrics } from "../../services/audience-update/update-metrics.ts";
import { waitingQueueUrls } from "../../services/audience-update/waiting-queues.ts";
import { openExistingQueues, openPrimaryQueue, openStores } from "../../shared/adapters/open.ts";
import type { AnnouncedChange } from "../../shared/domain/membership-change.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { createInstallation, type Installation, patientEnvironment } from "../support/installation.ts";
import { messagesIn } from "../support/queue-depth.ts";
import { until } from "../support/until.ts";

const USERS = Array.from({ length: 40 }, (_, index) => ({ tenant: "shop", userId: `u${index}` }));
const EACH = 8;
const log = createLog("test", "fatal");
const lifecycle = createLifecycle(log);
let installation: Installation;

beforeAll(async () => {
  Object.assign(process.env, localAwsEnvironment);
  installation = await createInstallation();
}, 60_000);

afterAll(lifecycle.close);

/** The consumer of the service in this process, on the installation's real servers. */
async function start() {
  const settings = readSettings(audienceUpdateSettings, {
    ...installation.environment,
    ...patientEnvironment,
    ADMIN_TOKEN: "test-token",
  });
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
  const metrics = createUpdateMetrics(new Registry(), () => consumer.flow.counts());
  const consumer = lifecycle.own(
    "consumer",
    createUpdateConsumer({ primary, ...queues, ...stores, settings, metrics, log, now: Date.now }),
  );
  consumer.flow.start();
  return { primary, urls, stores, metrics, consumer, topics: topicsOf(settings.pulsarNamespace) };
}

test("changes and ticks of a time on SQS end on their topics, each user's changes in order", async () => {
  const { primary, urls, stores, metrics, consumer, topics } = await start();
  const operator = { reason: "test", name: "test" };
  const { router } = consumer.routing;
  const { override, clearOverride } = stores.routeStore;
  const routeIs = (path: string) => until(`the route is ${path}`, () => router.route().path === path);
  const announce = (from: number) =>
    Promise.all(
      USERS.map((user) =>
        consumer.announcer.announce(
          user,
          Array.from({ length: EACH }, (_, index) => ({
            ...{ audience: "regulars", generation: 1, number: from + index, at: 1_767_225_600_000 },
            ...{ stamp: 3_619_277_004_800_000, version: 1, cause: { kind: "time" as const } },
          })),
        ),
      ),
    );
  const overEach = USERS.length * EACH;
  const { dueStore } = stores;
  const due = () => dueStore.add(USERS.map((user) => ({ ...user, dueMs: Date.now() })));
  const noneIsDue = () => until("no moment is due", async () => (await dueStore.waiting()).entries === 0);

  await announce(1);
  await due();
  await noneIsDue();
  await override({ route: "sqs", expiresInMs: 600_000, ...operator });
  await routeIs("sqs");
  await announce(1 + EACH);
  await due();
  await noneIsDue();
  expect(metrics.changeCounts()).toEqual({ announced: { pulsar: overEach, sqs: overEach }, failed: 0 });
  expect(await messagesIn(urls.changes)).toBe(overEach);
  await until("all ticks are settled", () => {
    const { pulsar, sqs } = metrics.settled();
    return pulsar >= USERS.length && sqs >= USERS.length;
  });

  await clearOverride(operator);
  await routeIs("pulsar");
  await until("nothing waits for Pulsar", async () => {
    const waiting = await Promise.all([messagesIn(urls.changes), messagesIn(urls.ledger)]);
    return waiting.every((messages) => messages === 0);
  });
  const reader = primary.consumer({
    ...{ topic: topics.changes, subscription: "check", connections: 1, maxPrefetched: 1_000 },
  });
  const read: AnnouncedChange[] = [];
  while (read.length < 2 * overEach) {
    const deliveries = await reader.receive(1_000);
    await reader.acknowledge(deliveries);
    read.push(...deliveries.map(({ payload }) => JSON.parse(payload) as AnnouncedChange));
  }
  await reader.close();
  const numbers = Array.from({ length: 2 * EACH }, (_, index) => index + 1);
  for (const { userId } of USERS)
    expect(read.filter((each) => each.userId === userId).map(({ number }) => number)).toEqual(numbers);
}, 120_000);

test("a service whose changes queue does not exist refuses to start", async () => {
  const sqsQueueUrl = installation.environment.SQS_QUEUE_URL!;
  const settings = readSettings(audienceUpdateSettings, {
    ...installation.environment,
    ADMIN_TOKEN: "test-token",
  });
  const opening = openExistingQueues(
    {
      fallback: settings,
      ledgerQueue: settings,
      changesQueue: { ...settings, sqsQueueUrl: sqsQueueUrl.replace(".fifo", "-none.fifo") },
    },
    lifecycle,
    log,
  );
  await expect(opening).rejects.toMatchObject({ code: "sqs_queue_missing" });
});
