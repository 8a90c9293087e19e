import type { FastifyInstance } from "fastify";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import type { RouteStore } from "../../shared/ports/route-store.ts";
import type { UpdateQueue } from "../../shared/ports/update-queue.ts";
import { type Routing, startRouting } from "../../shared/routing/start-routing.ts";
import type { connectionSettings } from "../../shared/runtime/connection-settings.ts";
import { KeylineError, toError } from "../../shared/runtime/errors.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";
import type { Values } from "../../shared/runtime/settings.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { createAdminServer } from "./admin/admin-server.ts";
import { addBreakerRoutes } from "./admin/breaker-routes.ts";
import { addHealthRoutes } from "./admin/health-routes.ts";
import { createOperators } from "./admin/operators.ts";
import { addProfileRoutes } from "./admin/profile-routes.ts";
import { createDeadLetterOffice } from "./dead-letter.ts";
import { restMs } from "./rest.ts";
import type { audienceUpdateSettings } from "./settings.ts";
import { createUpdateFlow, type UpdateFlow } from "./update-flow.ts";
import { createUpdateMetrics, type UpdateMetrics } from "./update-metrics.ts";

type ServiceSettings = Omit<
  Values<typeof audienceUpdateSettings>,
  | keyof Omit<typeof connectionSettings, "pulsarNamespace" | "pulsarSendTimeoutMs">
  | "pulsarPartitions"
  | "sqsPollers"
  | "sqsLongPollSeconds"
  | "sqsVisibilityTimeoutSeconds"
  | "logLevel"
>;

export type AudienceUpdateOptions = {
  primary: PrimaryQueue;
  fallback: UpdateQueue;
  store: ProfileStore;
  routeStore: RouteStore;
  settings: ServiceSettings;
  log: Log;
  /** Adds routes of the caller's own before the server listens. */
  extendServer?: (server: FastifyInstance) => void;
};

export type AudienceUpdate = {
  /** Where the admin endpoint listens, such as `http://127.0.0.1:8090`. */
  adminUrl: string;
  routing: Routing;
  flow: UpdateFlow;
  metrics: UpdateMetrics;
  /**
   * Stops asking for messages, finishes and acknowledges what is in hand, leaves the subscription. What is
   * not finished within the setting's time stays unacknowledged and is delivered to another consumer.
   */
  close(): Promise<void>;
};

const DEAD_LETTERS_UNDER_WAY = 1_000;
/** Beside what is in flight; enough to have the next round at hand. */
export const MAX_PREFETCHED = 2_000;

/** The service around ports that its composition root has opened and closes. */
export async function startAudienceUpdate(options: AudienceUpdateOptions): Promise<AudienceUpdate> {
  const { primary, fallback, store, routeStore, settings, log } = options;
  const topics = topicsOf(settings.pulsarNamespace);
  const lifecycle = createLifecycle(log);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = createUpdateMetrics(registry, () => flow.counts());

  const routing = lifecycle.own(
    "routing",
    startRouting({ primary, canaryTopic: topics.canary, routeStore, settings, log }),
  );
  addRouteMetrics(registry, routing);

  const deadLetterProducer = lifecycle.own(
    "dead-letter producer",
    primary.producer({
      topic: topics.deadLetter,
      sendTimeoutMs: settings.pulsarSendTimeoutMs,
      maxPending: DEAD_LETTERS_UNDER_WAY,
    }),
  );
  const primaryConsumer = lifecycle.own(
    "primary consumer",
    primary.consumer({
      topic: topics.updates,
      subscription: settings.pulsarSubscription,
      connections: settings.pulsarConnections,
      maxPrefetched: Math.min(settings.maxInFlightMessages, MAX_PREFETCHED),
    }),
  );
  const fallbackConsumer = lifecycle.own("fallback consumer", fallback.consumer());
  const deadLetters = createDeadLetterOffice({
    producer: deadLetterProducer,
    now: Date.now,
    restMs,
    onParked(letter) {
      metrics.parked(letter);
      const { reason, path, value, message, via, key } = letter;
      log.warn({ reason, path, value, via, key }, `parked in the dead-letter topic: ${message}`);
    },
    onError: logRepeated(log, "error", "could not write a dead letter, it is tried again"),
  });
  const flow = createUpdateFlow({
    primary: primaryConsumer,
    fallback: fallbackConsumer,
    store,
    deadLetters,
    limits: flowLimits(settings),
    metrics,
    now: Date.now,
    onStoreFailure: logRepeated(log, "error", "a save failed and is tried again"),
  });

  const server = await createAdminServer(log);
  addBreakerRoutes(server, {
    routing,
    routeStore,
    operators: createOperators(settings.adminToken),
    counters: () => ({ counted: metrics.counted(), inFlight: flow.counts() }),
  });
  addProfileRoutes(server, {
    store,
    readers: settings.readToken === "" ? undefined : createOperators(settings.readToken),
  });
  addHealthRoutes(server, {
    registry,
    checks: {
      store: () => problemOf(store.ping()),
      queues: async () =>
        primaryConsumer.connected() || fallbackConsumer.connected()
          ? undefined
          : "neither queue is connected",
    },
  });
  options.extendServer?.(server);
  lifecycle.own("admin server", server);
  const adminUrl = await listen(server, settings).catch(async (error: unknown) => {
    await lifecycle.close();
    throw error;
  });
  flow.start();
  return {
    adminUrl,
    routing,
    flow,
    metrics,
    async close() {
      const clean = await flow.drain(settings.shutdownTimeoutMs);
      if (clean) log.info("drained: nothing is left in hand");
      else log.warn(flow.counts(), "not drained in time; what is in hand is delivered to another consumer");
      await lifecycle.close();
    },
  };
}

async function listen(server: FastifyInstance, settings: ServiceSettings): Promise<string> {
  const { adminHost: host, adminPort: port } = settings;
  try {
    return await server.listen({ host, port });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const text =
      code === "EADDRINUSE"
        ? `port ${port} is taken by another program: set ADMIN_PORT to another one, or to 0 for any free one`
        : `ADMIN_HOST=${host} ADMIN_PORT=${port} can't be listened on: ${message}`;
    throw new KeylineError("admin_listen_failed", text, { value: port, cause: error });
  }
}

function flowLimits(settings: ServiceSettings) {
  return {
    ...settings,
    horizonMs: settings.horizonDays * 86_400_000,
    idMemoryMs: settings.idMemoryHours * 3_600_000,
    maxIds: settings.maxRememberedIds,
  };
}

async function problemOf(check: Promise<void>): Promise<string | undefined> {
  try {
    await check;
    return undefined;
  } catch (error) {
    return toError(error).message;
  }
}

function addRouteMetrics(registry: Registry, { router, breaker, sampler }: Routing): void {
  const registers = [registry];
  new Gauge({
    name: "keyline_route",
    help: "1 for the path this process sends on now",
    labelNames: ["path"],
    registers,
    collect() {
      const { path } = router.route();
      this.set({ path: "pulsar" }, Number(path === "pulsar"));
      this.set({ path: "sqs" }, Number(path === "sqs"));
    },
  });
  new Gauge({
    name: "keyline_breaker_open",
    help: "1 while this process's breaker is open",
    registers,
    collect() {
      this.set(Number(breaker.state().state === "open"));
    },
  });
  new Gauge({
    name: "keyline_canary_seconds",
    help: "Publish to consume of the last canary; NaN when it failed",
    registers,
    collect() {
      this.set((sampler.lastCanary()?.latencyMs ?? Number.NaN) / 1000);
    },
  });
  const openings = new Counter({
    name: "keyline_breaker_openings_total",
    help: "Openings of this process's breaker",
    registers,
  });
  breaker.onChange(({ state }) => state === "open" && openings.inc());
}
