import { expect, test } from "vitest";
import type { Update } from "../../shared/domain/envelope.ts";
import type { AnnouncedChange } from "../../shared/domain/membership-change.ts";
import { startEmbeddedConsumer } from "../support/embedded-consumer.ts";
import { readTopic } from "../support/read-topic.ts";
import { until } from "../support/until.ts";

const USERS = Array.from({ length: 30 }, (_, index) => ({ tenant: "shop", userId: `u${index}` }));
const EACH = 6;
const change = (number: number) => ({
  ...{ audience: "regulars", generation: 3, number, at: 1_767_225_600_000, stamp: 3_619_277_004_800_000 },
  ...{ version: 7, cause: { kind: "time" as const } },
});

test("membership changes of an outage end on their topic, each once and each user's in order", async () => {
  const { broker, consumer, metrics, topics, routeIs, close } = await startEmbeddedConsumer();
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
  const read = await readTopic<AnnouncedChange>(
    broker,
    topics.changes,
    ({ length }) => length >= 2 * overEach,
  );
  const numbers = Array.from({ length: 2 * EACH }, (_, index) => index + 1);
  for (const { userId } of USERS)
    expect(read.filter((each) => each.userId === userId).map(({ number }) => number)).toEqual(numbers);
  expect(read.every((each) => each.change === (each.number % 2 === 1 ? "entered" : "left"))).toBe(true);
  await until("they are counted", () => metrics.completionCounts("changes").completed === overEach);
  await close();
});

test("each due moment becomes a tick in the ledger, over SQS while Pulsar is away, and leaves the due store", async () => {
  const { broker, dueStore, topics, routeIs, close } = await startEmbeddedConsumer();
  const firstMs = Date.now() - 5_000;
  const sweep = async (dueMs: number) => {
    await dueStore.add(USERS.map((user) => ({ ...user, dueMs })));
    await until("no moment is due", async () => (await dueStore.waiting()).entries === 0, { everyMs: 20 });
  };
  await sweep(firstMs);
  broker.break();
  await routeIs("sqs");
  await sweep(firstMs + 1);
  broker.heal();
  await routeIs("pulsar");
  const expected = new Set(
    USERS.flatMap(({ userId }) => [`${userId} ${firstMs}`, `${userId} ${firstMs + 1}`]),
  );
  const ticksOf = (updates: readonly Update[]) =>
    new Set(updates.map(({ userId, ops: [op] }) => `${userId} ${op?.kind === "tick" && op.body.due}`));
  const ledger = await readTopic<Update>(broker, topics.updates, (updates) =>
    expected.isSubsetOf(ticksOf(updates)),
  );
  expect(ticksOf(ledger)).toEqual(expected);
  await close();
});
