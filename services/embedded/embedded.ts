/**
 * Everything in one process: the service as it is, around an embedded broker, an embedded SQS and stores in
 * memory, with a publisher that replays real purchases. One process has one breaker: the publisher sends by
 * the service's own routing.
 */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import { startEmbeddedSqs } from "../../shared/adapters/memory/embedded-sqs.ts";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryDueStore } from "../../shared/adapters/memory/memory-due-store.ts";
import { createMemoryMemberStore } from "../../shared/adapters/memory/memory-member-store.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import { openPublisher } from "../../shared/publish/open-publisher.ts";
import { createLifecycle, type Lifecycle } from "../../shared/runtime/lifecycle.ts";
import type { Log } from "../../shared/runtime/log.ts";
import type { Values } from "../../shared/runtime/settings.ts";
import { startAudienceUpdate } from "../audience-update/audience-update.ts";
import { createDemo, type Demo, type StoryLine } from "./demo.ts";
import { type DemoGateway, startDemoGateway } from "./demo-gateway.ts";
import { addDemoRoutes } from "./demo-routes.ts";
import { createLiveLags } from "./live-lags.ts";
import { parsePurchases, sumByCustomer } from "./purchases.ts";
import { type Replay, startReplay } from "./replay.ts";
import type { embeddedSettings } from "./settings.ts";
import { readSettledCounts } from "./settled-counts.ts";
import { type Observer, startObserver } from "./status.ts";
import { judge, type Verdict } from "./verdict.ts";
import { watchWrites } from "./watch-writes.ts";

type EmbeddedSettings = Values<typeof embeddedSettings>;

/** What became of the updates, at the end. */
export type Drained = {
  /** On the way when the end began, and still then when it was over. */
  onTheWay: number;
  left: number;
  published: number;
  /** Of these, and how many were not since another update had their id, or can never apply. */
  counted: number;
  repeatedIds: number;
  parked: number;
};

export type Embedded = {
  /** Where the page is. */
  url: string;
  gateway: DemoGateway;
  demo: Demo;
  /** Rejects when the replay can't go on. */
  replayed: Promise<void>;
  /** How many updates were given to the publisher and are not settled yet. */
  onTheWay(): number;
  /** Publishes no more, lets what is on the way be counted, and closes everything. */
  close(): Promise<Drained>;
};

const SAMPLE_FILE = new URL("../../data/cdnow-sample.txt", import.meta.url);
const PAGE_FILE = new URL("page.html", import.meta.url);
/** Nobody reads the ledger again here. */
const MAX_RETAINED_MESSAGES = 1_000;
/** Of due moments, and of memberships; more than the sample has customers. */
const MAX_ENTRIES = 1_000_000;
const MAX_CUSTOMERS_SHOWN = 10;
const MAX_TENANTS = 1_000;
/** Who come over the gateway. */
const MAX_OTHER_USERS = 100_000;
const MAX_REPLAYED_UNDER_WAY = 2_000;
/** Few, so that messages gather into batches: client and server share one thread here. */
const SQS_REQUESTS_AT_ONCE = 2;
/** A pass whose profiles are not exact by then is judged as it is. */
const JUDGE_TIMEOUT_MS = 30_000;
const LOOK_AGAIN_MS = 100;

export async function startEmbedded(options: {
  settings: EmbeddedSettings;
  log: Log;
  /** What stands in the page's token field. */
  pageToken: string;
  onStory(line: StoryLine): void;
}): Promise<Embedded> {
  const lifecycle = createLifecycle(options.log);
  try {
    return await start(options, lifecycle);
  } catch (error) {
    await lifecycle.close();
    throw error;
  }
}

async function start(options: Parameters<typeof startEmbedded>[0], lifecycle: Lifecycle): Promise<Embedded> {
  const { settings, log, onStory, pageToken } = options;
  const [page, file] = await Promise.all([readFile(PAGE_FILE, "utf8"), readFile(SAMPLE_FILE, "utf8")]);
  const purchases = parsePurchases(file);
  const expected = sumByCustomer(purchases);
  const bounds = { partitions: settings.pulsarPartitions, maxRetainedMessages: MAX_RETAINED_MESSAGES };
  const broker = lifecycle.own("embedded broker", createMemoryBroker(bounds));
  const sqs = lifecycle.own("embedded SQS", await startSqs(settings));
  const maxProfiles = expected.size * settings.replayPasses + MAX_OTHER_USERS;
  const profiles = lifecycle.own("profile store", createMemoryProfileStore({ maxProfiles }));
  const watched = watchWrites(profiles, MAX_CUSTOMERS_SHOWN);
  const routeStore = lifecycle.own("route store", createMemoryRouteStore());
  const definitionStore = lifecycle.own(
    "definition store",
    createMemoryDocumentStore({ maxEntries: MAX_ENTRIES, now: Date.now }),
  );
  const tenantStore = lifecycle.own("tenant store", createMemoryDocumentStore({ maxEntries: MAX_TENANTS }));
  const settingsStore = lifecycle.own("settings store", createMemoryDocumentStore({ maxEntries: 1 }));
  const dueStore = lifecycle.own("due store", createMemoryDueStore({ maxEntries: MAX_ENTRIES }));
  const memberStore = lifecycle.own("member store", createMemoryMemberStore({ maxEntries: MAX_ENTRIES }));

  const started = Promise.withResolvers<Demo>();
  const lags = createLiveLags();
  let server: FastifyInstance | undefined;
  const { adminUrl, routing, flow, metrics } = lifecycle.own(
    "audience-update",
    await startAudienceUpdate({
      primary: broker,
      fallback: sqs.queue,
      ledgerQueue: sqs.ledgerQueue,
      changesQueue: sqs.changesQueue,
      store: watched.store,
      routeStore,
      ...{ definitionStore, tenantStore, settingsStore },
      dueStore,
      memberStore,
      settings: { ...settings, readToken: "" },
      log,
      onCounted: lags.counted,
      extendServer(extended) {
        server = extended;
        addDemoRoutes(extended, { demo: started.promise, page, pageToken });
      },
    }),
  );

  const { publisher } = openPublisher(lifecycle, {
    primary: broker,
    fallback: sqs.queue,
    routing,
    settings,
    log,
    now: Date.now,
  });
  const gateway = lifecycle.own("gateway", await startDemoGateway({ publisher, tenantStore, settings, log }));
  const replay = startReplay({
    publisher,
    route: routing.router.route,
    purchases,
    ratePerSecond: settings.replayRate,
    passes: settings.replayPasses,
    maxUnderWay: Math.min(MAX_REPLAYED_UNDER_WAY, settings.maxUnderWay),
    judgePass: (tenant) => judgeWhenSettled(() => judge(profiles, tenant, expected)),
    onVerdict: (verdict) => void started.promise.then(({ onVerdict }) => onVerdict(verdict)),
  });
  lifecycle.own("replay", { close: replay.stop });
  const observer = lifecycle.own(
    "observer",
    startObserver({
      routing,
      routeStore,
      flow,
      watched,
      publisher,
      replay: replay.state,
      ratePerSecond: settings.replayRate,
      breaker: { minOpenMs: settings.breakerMinOpenMs, goodSamplesToClose: settings.breakerGoodCanaries },
      counted: metrics.counted,
      takeLags: lags.take,
      settledCounts: () => readSettledCounts(server!),
      now: Date.now,
    }),
  );
  const demo = createDemo({ broker, breaker: routing.breaker, observer, onStory, now: Date.now });
  started.resolve(demo);

  return {
    url: adminUrl,
    gateway,
    demo,
    replayed: replay.done,
    onTheWay: observer.onTheWay,
    async close() {
      const drained = await drain(replay, observer, settings.shutdownTimeoutMs);
      await lifecycle.close();
      return drained;
    },
  };
}

/** Ends the replay and waits until all of it is counted, for at most `timeoutMs`. */
async function drain(replay: Replay, observer: Observer, timeoutMs: number): Promise<Drained> {
  const { onTheWay } = await observer.status();
  await replay.stop();
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const { onTheWay: left, publisher, counted, repeatedIds, parked } = await observer.status();
    if (left === 0 || Date.now() >= deadlineMs) {
      const { pulsar, sqs } = publisher.published;
      const published = pulsar + sqs;
      return { onTheWay, left, published, counted: counted.pulsar + counted.sqs, repeatedIds, parked };
    }
    await sleep(LOOK_AGAIN_MS);
  }
}

function startSqs(settings: EmbeddedSettings) {
  return startEmbeddedSqs({
    sendTimeoutMs: settings.sqsSendTimeoutMs,
    pollers: settings.sqsPollers,
    longPollSeconds: settings.sqsLongPollSeconds,
    visibilityTimeoutSeconds: settings.sqsVisibilityTimeoutSeconds,
    maxUnacknowledged: settings.maxInFlightMessages,
    maxConcurrentRequests: SQS_REQUESTS_AT_ONCE,
  });
}

/** What was published may still be on its way to the store for a moment. */
async function judgeWhenSettled(judgeNow: () => Promise<Verdict>): Promise<Verdict> {
  const deadlineMs = Date.now() + JUDGE_TIMEOUT_MS;
  for (;;) {
    const verdict = await judgeNow();
    if (verdict.exact === verdict.customers || Date.now() >= deadlineMs) return verdict;
    await sleep(LOOK_AGAIN_MS);
  }
}
