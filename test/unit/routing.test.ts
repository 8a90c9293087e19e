import { afterEach, expect, test } from "vitest";
import { startEmbeddedSqs } from "../../shared/adapters/memory/embedded-sqs.ts";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import { PublishError } from "../../shared/publish/publish-error.ts";
import { createPublisher, type Receipt } from "../../shared/publish/publisher.ts";
import { startRouting } from "../../shared/routing/start-routing.ts";
import { breakerSettings } from "../../shared/runtime/connection-settings.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { until } from "../support/until.ts";

const topics = topicsOf("public/keyline");
const settings = readSettings(breakerSettings, {
  BREAKER_MIN_OPEN_MS: "100",
  CANARY_INTERVAL_MS: "100",
  CANARY_TIMEOUT_MS: "200",
});
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function start(routeStore = createMemoryRouteStore()) {
  const broker = createMemoryBroker();
  closing.push(broker.close);
  const routing = startRouting({
    primary: broker,
    canaryTopic: topics.canary,
    routeStore,
    settings,
    log: createLog("test", "fatal"),
    now: Date.now,
  });
  closing.push(routing.close);
  return { broker, routing };
}

test("an idle process notices an outage by its canaries, and its end", async () => {
  const { broker, routing } = start();
  await until("a canary is back", () => routing.sampler.lastCanary()?.latencyMs !== undefined);
  broker.break();
  await until("the route is sqs", () => routing.router.route().path === "sqs", { patienceMs: 5_000 });
  expect(routing.breaker.state()).toMatchObject({ state: "open", openings: 1 });
  broker.heal();
  await until("the route is pulsar", () => routing.router.route().path === "pulsar", { patienceMs: 10_000 });
});

test("an idle process does not hold the fleet on a sick broker by its vote", async () => {
  const routeStore = createMemoryRouteStore();
  const [one, other] = [start(routeStore), start(routeStore)];
  one.broker.break();
  other.broker.break();
  await until("both vote sqs", async () =>
    (await routeStore.read()).votes.every(({ route }) => route === "sqs"),
  );
  await until("the fleet is on sqs", async () => (await routeStore.read()).route === "sqs");
});

/** By default with a deadline that a busy test machine does not reach. */
async function startPublisher({ deadlineMs = 20_000 } = {}) {
  const { broker, routing } = start();
  const { queue, close } = await startEmbeddedSqs();
  closing.push(close);
  const fallback = queue.producer();
  const publisher = createPublisher({
    primary: broker.producer({ topic: topics.updates, sendTimeoutMs: 200, maxPending: 64 }),
    fallback,
    breaker: routing.breaker,
    route: routing.router.route,
    tail: { add() {}, resent: () => 0 },
    deadlineMs,
    maxUnderWay: 5_000,
    maxPending: { pulsar: 64, sqs: 64 },
    maxUsers: 1_000,
    maxUpdateBytes: 10_000,
    now: Date.now,
  });
  closing.push(publisher.close);
  const publish = (n: number) => publisher.user("shop", `u${n % 100}`).increment({ n: 1 });
  return { broker, routing, fallback, publisher, publish };
}

test("a burst waits in the publisher and is not taken for an outage", async () => {
  const { routing, publisher, publish } = await startPublisher();
  const receipts = await Promise.all(Array.from({ length: 5_000 }, (_, n) => publish(n)));
  expect(receipts.every(({ path }) => path === "pulsar")).toBe(true);
  expect(routing.breaker.state().openings).toBe(0);
  expect(publisher.counts()).toEqual({
    published: { pulsar: 5_000, sqs: 0 },
    failed: 0,
    underWay: 0,
    resent: 0,
  });
});

test("more than may be under way is refused at once", async () => {
  const { publish } = await startPublisher();
  const results = await Promise.allSettled(Array.from({ length: 5_001 }, (_, n) => publish(n)));
  expect(results.at(-1)).toMatchObject({
    status: "rejected",
    reason: { code: "publisher_full", retryable: true },
  });
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(5_000);
});

test("what a sick broker does not answer goes over SQS with the same identity", async () => {
  const { broker, publish } = await startPublisher();
  const before = await publish(1);
  broker.break();
  const after = await publish(1);
  expect([before.path, after.path]).toEqual(["pulsar", "sqs"]);
  expect(after).toMatchObject({ src: before.src, seq: before.seq + 1 });
});

test("when neither path takes an update the error is retryable, and resend keeps the identity", async () => {
  const { broker, fallback, publisher, publish } = await startPublisher({ deadlineMs: 1_500 });
  const { seq } = await publish(1);
  broker.break();
  await fallback.close();
  const error: unknown = await publish(1).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(PublishError);
  expect(error).toMatchObject({ code: "publish_failed", retryable: true, update: { seq: seq + 1 } });
  broker.heal();
  const resend = (): Promise<Receipt> => publisher.resend((error as PublishError).update).catch(resend);
  expect(await resend()).toMatchObject({ path: "pulsar", seq: seq + 1 });
}, 60_000);
