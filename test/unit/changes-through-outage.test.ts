import { expect, test } from "vitest";
import type { AnnouncedChange } from "../../shared/domain/membership-change.ts";
import { type EmbeddedConsumer, startEmbeddedConsumer } from "../support/embedded-consumer.ts";
import { until } from "../support/until.ts";

const USERS = Array.from({ length: 30 }, (_, index) => ({ tenant: "shop", userId: `u${index}` }));
const EACH = 6;
const change = (number: number) => ({
  ...{ audience: "regulars", generation: 3, number, at: 1_767_225_600_000, stamp: 3_619_277_004_800_000 },
  ...{ version: 7, cause: { kind: "time" as const } },
});

/** Everything on the topic of membership changes, until there are `count`. */
async function readChanges({ broker, topics }: EmbeddedConsumer, count: number): Promise<AnnouncedChange[]> {
  const consumer = broker.consumer({
    ...{ topic: topics.changes, subscription: "check", connections: 1, maxPrefetched: 1_000 },
  });
  const read: AnnouncedChange[] = [];
  await until(`${count} changes are on the topic`, async () => {
    const deliveries = await consumer.receive(1_000);
    await consumer.acknowledge(deliveries);
    read.push(...deliveries.map(({ payload }) => JSON.parse(payload) as AnnouncedChange));
    return read.length >= count;
  });
  await consumer.close();
  return read;
}

test("membership changes of an outage end on their topic, each once and each user's in order", async () => {
  const embedded = await startEmbeddedConsumer();
  const { broker, consumer, metrics, routeIs, close } = embedded;
  const announce = (from: number) =>
    Promise.all(
      USERS.map((user) =>
        consumer.announcer.announce(
          user,
          Array.from({ length: EACH }, (_, index) => change(from + index)),
        ),
      ),
    );
  await announce(1);
  broker.break();
  await routeIs("sqs");
  expect(new Set(await announce(1 + EACH))).toEqual(new Set([true]));
  const overEach = USERS.length * EACH;
  expect(metrics.changeCounts().announced).toEqual({ pulsar: overEach, sqs: overEach });
  expect(metrics.completionCounts("changes").completed).toBe(0);

  broker.heal();
  await routeIs("pulsar");
  const read = await readChanges(embedded, 2 * overEach);
  const numbers = Array.from({ length: 2 * EACH }, (_, index) => index + 1);
  for (const { userId } of USERS)
    expect(read.filter((each) => each.userId === userId).map(({ number }) => number)).toEqual(numbers);
  expect(read.every((each) => each.change === (each.number % 2 === 1 ? "entered" : "left"))).toBe(true);
  await until("they are counted", () => metrics.completionCounts("changes").completed === overEach);
  await close();
});

test("due moments become updates, over SQS while Pulsar is away, and leave the due store", async () => {
  const { broker, dueStore, metrics, routeIs, close } = await startEmbeddedConsumer();
  const due = (dueMs: number) => dueStore.add(USERS.map((user) => ({ ...user, dueMs })));
  const noneIsDue = () =>
    until("no moment is due", async () => (await dueStore.waiting()).entries === 0, { everyMs: 20 });
  await due(Date.now());
  await noneIsDue();
  await until("the ticks are settled", () => metrics.settled().pulsar >= USERS.length);
  broker.break();
  await routeIs("sqs");
  await due(Date.now());
  await noneIsDue();
  await until("the others are settled too", () => metrics.settled().sqs >= USERS.length);
  broker.heal();
  await routeIs("pulsar");
  await until("their copies are in the ledger", () => metrics.completionCounts("ledger").completed > 0);
  await close();
});
