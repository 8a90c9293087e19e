import { Registry } from "prom-client";
import { afterEach, expect, test } from "vitest";
import { audienceUpdateSettings } from "../../services/audience-update/settings.ts";
import { createUpdateConsumer } from "../../services/audience-update/update-consumer.ts";
import { createUpdateMetrics } from "../../services/audience-update/update-metrics.ts";
import { startEmbeddedSqs } from "../../shared/adapters/memory/embedded-sqs.ts";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryDueStore } from "../../shared/adapters/memory/memory-due-store.ts";
import { createMemoryMemberStore } from "../../shared/adapters/memory/memory-member-store.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import { attributes } from "../../shared/domain/profile.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import { openPublisher } from "../../shared/publish/open-publisher.ts";
import { startRouting } from "../../shared/routing/start-routing.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { publisherSettings } from "../../shared/runtime/publisher-settings.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { until } from "../support/until.ts";

const USERS = 10;
const EACH = 5;
const log = createLog("test", "fatal");
const lifecycle = createLifecycle(log);
const settings = readSettings(
  { ...audienceUpdateSettings, ...publisherSettings },
  {
    PULSAR_URL: "ws://unused",
    SQS_QUEUE_URL: "http://unused/q.fifo",
    REDIS_URL: "redis://unused",
    ADMIN_TOKEN: "12345678",
    BREAKER_MIN_OPEN_MS: "500",
    CANARY_INTERVAL_MS: "100",
    // A busy test machine is slow, which is not what this is about.
    TAIL_MS: "60000",
    PUBLISH_DEADLINE_MS: "20000",
  },
);

afterEach(lifecycle.close);

async function start() {
  const broker = lifecycle.own("broker", createMemoryBroker());
  const sqs = lifecycle.own("SQS", await startEmbeddedSqs());
  const store = createMemoryProfileStore({ maxProfiles: USERS });
  const routeStore = createMemoryRouteStore();
  const canaryTopic = topicsOf(settings.pulsarNamespace).canary;
  const routing = lifecycle.own(
    "routing",
    startRouting({ primary: broker, canaryTopic, routeStore, settings, log, now: Date.now }),
  );
  const { publisher } = openPublisher(lifecycle, {
    primary: broker,
    fallback: sqs.queue,
    routing,
    settings,
    log,
    now: Date.now,
  });

  function startConsumer() {
    const registry = new Registry();
    const metrics = createUpdateMetrics(registry, () => consumer.flow.counts());
    const consumer = lifecycle.own(
      "consumer",
      createUpdateConsumer({
        primary: broker,
        fallback: sqs.queue,
        ledgerQueue: sqs.ledgerQueue,
        changesQueue: sqs.changesQueue,
        definitionStore: createMemoryDocumentStore({ maxEntries: 1, now: Date.now }),
        tenantStore: createMemoryDocumentStore({ maxEntries: 1 }),
        settingsStore: createMemoryDocumentStore({ maxEntries: 1 }),
        dueStore: createMemoryDueStore({ maxEntries: 1 }),
        memberStore: createMemoryMemberStore({ maxEntries: 1 }),
        store,
        routeStore,
        settings,
        metrics,
        log,
        now: Date.now,
      }),
    );
    consumer.flow.start();
    const copies = async (path: string, outcome: string) => {
      const { values } = await registry.getSingleMetric("keyline_updates_total")!.get();
      return values.find(({ labels }) => labels.path === path && labels.outcome === outcome)?.value ?? 0;
    };
    return { copies };
  }

  async function pointsOf(userId: number): Promise<unknown> {
    const record = await store.load({ tenant: "shop", userId: String(userId) });
    return record && attributes(decodeProfile(record.machinery).profile).points;
  }

  const users = Array.from({ length: USERS }, (_, userId) => userId);
  const publishAll = () =>
    Promise.all(users.map((userId) => publisher.user("shop", String(userId)).increment({ points: 1 })));
  const allHave = async (points: number) =>
    (await Promise.all(users.map(pointsOf))).every((own) => own === points);
  return { broker, routing, publisher, startConsumer, publishAll, allHave };
}

test("what a stalled broker took and does not deliver is visible during the outage, and counts once after it", async () => {
  const { broker, routing, publisher, startConsumer, publishAll, allHave } = await start();
  for (let round = 0; round < EACH; round += 1)
    expect((await publishAll()).every(({ path }) => path === "pulsar")).toBe(true);

  broker.break({ storesLate: true });
  // It joins the stalled broker, which therefore gives it nothing.
  const { copies } = startConsumer();
  await until("the route is sqs", () => routing.router.route().path === "sqs");
  await until("all is visible", () => allHave(EACH));
  expect(await copies("sqs", "counted")).toBe(USERS * EACH);
  expect(publisher.counts()).toMatchObject({ resent: USERS * EACH, published: { sqs: 0 } });

  expect((await publishAll()).every(({ path }) => path === "sqs")).toBe(true);
  await until("what is sent now is visible too", () => allHave(EACH + 1));

  broker.heal();
  await until("the route is pulsar", () => routing.router.route().path === "pulsar");
  await until("the copies have come", async () => (await copies("pulsar", "repeat")) >= USERS * EACH);
  await publishAll();
  await until("the last ones are visible", () => allHave(EACH + 2));
  expect((await copies("sqs", "counted")) + (await copies("pulsar", "counted"))).toBe(USERS * (EACH + 2));
}, 60_000);
