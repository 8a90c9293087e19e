import { afterAll, beforeAll, expect, test } from "vitest";
import { localAwsEnvironment } from "../../localstack/create-queues.ts";
import { audienceUpdateSettings } from "../../services/audience-update/settings.ts";
import { openExistingQueues } from "../../shared/adapters/open.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import type { AnnouncedChange } from "../../shared/domain/membership-change.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { messagesIn } from "../support/queue-depth.ts";
import { readTopic } from "../support/read-topic.ts";
import { startRealConsumer } from "../support/real-consumer.ts";
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

test("changes and ticks of a time on SQS end on their topics, each user's changes in order", async () => {
  const { primary, urls, stores, metrics, consumer, topics } = await startRealConsumer(
    installation,
    lifecycle,
  );
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
  expect(metrics.changeCounts()).toMatchObject({
    announced: { pulsar: overEach, sqs: overEach },
    failed: 0,
  });
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
  const read = await readTopic<AnnouncedChange>(
    primary,
    topics.changes,
    ({ length }) => length >= 2 * overEach,
  );
  const numbers = Array.from({ length: 2 * EACH }, (_, index) => index + 1);
  for (const { userId } of USERS)
    expect(read.filter((each) => each.userId === userId).map(({ number }) => number)).toEqual(numbers);
  // Some are there twice: those that the route's move took along over SQS.
  const ticks = await readTopic<Update>(
    primary,
    topics.updates,
    (updates) => new Set(updates.map(({ userId, at }) => `${userId} ${at}`)).size === 2 * USERS.length,
  );
  expect(ticks.every(({ ops }) => ops.length === 1 && ops[0]!.kind === "tick")).toBe(true);
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
