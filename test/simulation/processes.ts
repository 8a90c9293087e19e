/** The real publisher and the real consumer, each as a process on simulated servers. */
import { Registry } from "prom-client";
import { audienceUpdateSettings } from "../../services/audience-update/settings.ts";
import { createUpdateConsumer, type UpdateConsumer } from "../../services/audience-update/update-consumer.ts";
import { createUpdateMetrics } from "../../services/audience-update/update-metrics.ts";
import type { Operation, Priority, Update } from "../../shared/domain/envelope.ts";
import { publisherConnectionSettings } from "../../shared/publish/connect-publisher.ts";
import { openPublisher } from "../../shared/publish/open-publisher.ts";
import { PublishError } from "../../shared/publish/publish-error.ts";
import type { Publisher } from "../../shared/publish/publisher.ts";
import { type Routing, startRouting } from "../../shared/routing/start-routing.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import type { Log } from "../../shared/runtime/log.ts";
import { readSettings, settingsFrom } from "../../shared/runtime/settings.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { type SimulatedProcess, type World, wasHealthy } from "./network.ts";
import type { Servers } from "./servers.ts";

/** Rarer canaries and votes than by default: a simulated minute costs less. */
const environment = {
  PULSAR_URL: "ws://simulated",
  SQS_QUEUE_URL: "http://simulated/updates.fifo",
  REDIS_URL: "redis://simulated",
  ADMIN_TOKEN: "simulated-token",
  CANARY_INTERVAL_MS: "4000",
  CANARY_PARTITIONS: "1",
  VOTE_INTERVAL_MS: "3000",
  VOTE_TTL_MS: "9000",
  BREAKER_WINDOW_MS: "12000",
  BREAKER_GOOD_CANARIES: "2",
  MAX_IN_FLIGHT_MESSAGES: "40",
  MAX_UPDATES_PER_TURN: "20",
  MAX_USERS_PER_ROUND: "8",
  MAX_ROUNDS: "2",
  MAX_CACHE_BYTES: "1000000",
  MAX_NUMBERED_USERS: "20",
  // Few, so that packs hold several.
  KEY_GROUPS: "3",
  TAIL_MS: "30000",
  MAX_TAIL_UPDATES: "2000",
  SWEEP_INTERVAL_MS: "5000",
};

const consumerSettings = readSettings(audienceUpdateSettings, environment);
export const consumerLimits = {
  maxInFlightMessages: consumerSettings.maxInFlightMessages,
  shutdownTimeoutMs: consumerSettings.shutdownTimeoutMs,
};
const publisherSettings = settingsFrom(publisherConnectionSettings, {}, environment);
export const { sweepIntervalMs } = consumerSettings;
export const topics = topicsOf(consumerSettings.pulsarNamespace);

export type RunningConsumer = {
  process: SimulatedProcess;
  routing: Routing;
  flow: UpdateConsumer["flow"];
  /** SIGTERM. */
  close(): Promise<void>;
};

export function startConsumer(world: World, servers: Servers, process: SimulatedProcess): RunningConsumer {
  const metrics = createUpdateMetrics(new Registry(), () => consumer.flow.counts());
  const consumer: UpdateConsumer = createUpdateConsumer({
    primary: servers.pulsar.connect(process),
    fallback: servers.updates.connect(process),
    ledgerQueue: servers.ledgerQueue.connect(process),
    changesQueue: servers.changesQueue.connect(process),
    ...servers.redis.connect(process),
    settings: consumerSettings,
    metrics,
    log: traceLog(world, process),
    now: Date.now,
  });
  watchBreaker(world, process, consumer.routing);
  consumer.flow.start();
  return { process, routing: consumer.routing, flow: consumer.flow, close: consumer.close };
}

export type RunningPublisher = {
  process: SimulatedProcess;
  routing: Routing;
  publisher: Publisher;
  /** Publishes one update; tries again as an application would, unless it gives up. */
  publish(input: { userId: string; ops: Operation[]; priority: Priority; trace: string }): Promise<void>;
  /** Publishes past the library, as a stranger would. */
  poison(key: string, payload: string): Promise<void>;
};

/** Of the updates whose publish failed, the share that the application tries again until it works. */
const RETRY_SHARE = 0.8;
const RETRY_REST_MS = 2_000;

export function startPublisher(
  world: World,
  servers: Servers,
  process: SimulatedProcess,
  onAcknowledged: (update: Update) => void,
): RunningPublisher {
  const log = traceLog(world, process);
  const lifecycle = createLifecycle(log);
  const primary = servers.pulsar.connect(process);
  const routing = startRouting({
    primary,
    canaryTopic: topics.canary,
    routeStore: servers.redis.connect(process).routeStore,
    settings: publisherSettings,
    log,
    now: Date.now,
  });
  watchBreaker(world, process, routing);
  const fallback = servers.updates.connect(process);
  const { publisher, primaryProducer } = openPublisher(lifecycle, {
    primary,
    fallback,
    routing,
    settings: publisherSettings,
    log,
    now: Date.now,
  });

  async function retry(update: Update): Promise<void> {
    for (;;) {
      await new Promise((resume) => setTimeout(resume, RETRY_REST_MS));
      try {
        await publisher.resend(update);
        onAcknowledged(update);
        return;
      } catch (error) {
        world.trace(() => `${process.name} resend of ${update.src} ${update.seq}: ${error}`);
      }
    }
  }

  return {
    process,
    routing,
    publisher,
    poison: (key, payload) =>
      primaryProducer.send({ key, payload, deduplicationId: payload }).catch((error: unknown) => {
        world.trace(() => `${process.name} poison failed: ${error}`);
      }),
    async publish(input) {
      const full = { tenant: "sim", at: Date.now(), ...input };
      const startedMs = world.time.now();
      const checkDeadline = () => {
        const tookMs = world.time.now() - startedMs;
        if (tookMs > MAX_PUBLISH_MS) world.violate("deadline", `a publish took ${tookMs} ms`);
      };
      try {
        const { src, seq, stamp } = await publisher.publish(full);
        checkDeadline();
        onAcknowledged({ v: 1, ...full, src, seq, stamp });
      } catch (error) {
        world.trace(() => `${process.name} publish failed: ${error}`);
        checkDeadline();
        const path = (["pulsar", "sqs"] as const).find((name) =>
          wasHealthy(world, process, name, startedMs - SETTLING_MS),
        );
        if (path) world.violate("availability", `a publish failed though ${path} was well: ${error}`);
        if (!(error instanceof KeylineError && error.retryable)) world.violate("publish", String(error));
        if (error instanceof PublishError && world.time.random() < RETRY_SHARE) await retry(error.update);
      }
    },
  };
}

/** How long after a fault a client may need to be connected again, and its breaker to close. */
const SETTLING_MS = 90_000;
/** The deadline, and time to say so. */
const MAX_PUBLISH_MS = publisherSettings.publishDeadlineMs + 50;

const OPENINGS_WINDOW_MS = 60_000;
const MAX_OPENINGS = 2;

/** I6 */
function watchBreaker(world: World, process: SimulatedProcess, { breaker }: Routing): void {
  const openings: number[] = [];
  breaker.onChange(({ state }) => {
    if (state !== "open") return;
    openings.push(world.time.now());
    if (wasHealthy(world, process, "pulsar", world.time.now() - SETTLING_MS))
      world.violate("breaker", `${process.name} opened though Pulsar was well: ${breaker.state().reason}`);
    const within = openings.filter((atMs) => world.time.now() - atMs < OPENINGS_WINDOW_MS);
    // A step of the process's clock is not what the promise is about.
    if (within.length > MAX_OPENINGS && process.skewMs === 0)
      world.violate("I6", `${process.name} opened ${within.length} times in 60 s`);
  });
}

function traceLog(world: World, process: SimulatedProcess): Log {
  const line = (first: unknown, text?: string) =>
    world.trace(() => `${process.name} ${text ?? String(first)}`);
  return { info: line, warn: line, error: line, debug: line, fatal: line } as unknown as Log;
}
