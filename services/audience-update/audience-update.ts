import type { FastifyInstance } from "fastify";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Priority } from "../../shared/domain/envelope.ts";
import { addHealthRoutes } from "../../shared/http/health-routes.ts";
import { createHttpServer, listen } from "../../shared/http/http-server.ts";
import { createOperators } from "../../shared/http/operators.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import type { DueStore } from "../../shared/ports/due-store.ts";
import type { MemberStore } from "../../shared/ports/member-store.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import type { RouteStore } from "../../shared/ports/route-store.ts";
import type { ReadSubscription } from "../../shared/ports/subscription-stats.ts";
import type { UpdateQueue } from "../../shared/ports/update-queue.ts";
import type { Routing } from "../../shared/routing/start-routing.ts";
import { toError } from "../../shared/runtime/errors.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";
import type { Values } from "../../shared/runtime/settings.ts";
import { addBreakerRoutes } from "./admin/breaker-routes.ts";
import { addDefinitionRoutes } from "./admin/definition-routes.ts";
import { addExplainRoutes } from "./admin/explain-routes.ts";
import { addHotUserRoutes } from "./admin/hot-user-routes.ts";
import { addMemberRoutes } from "./admin/member-routes.ts";
import { addProfileRoutes } from "./admin/profile-routes.ts";
import { addSettingsRoutes } from "./admin/settings-routes.ts";
import { addWaitingGauge, type WaitingQueue } from "./completion-metrics.ts";
import { createDefinitionCatalog } from "./definition-catalog.ts";
import { createProfileLoader } from "./read-your-write.ts";
import { readinessOf } from "./readiness.ts";
import type { audienceUpdateSettings } from "./settings.ts";
import { maxStateLength } from "./state-bound.ts";
import { type ConsumerSettings, createUpdateConsumer } from "./update-consumer.ts";
import type { UpdateFlow } from "./update-flow.ts";
import { createUpdateMetrics, type UpdateMetrics } from "./update-metrics.ts";

type ServiceSettings = ConsumerSettings &
  Pick<Values<typeof audienceUpdateSettings>, "adminHost" | "adminPort" | "adminToken" | "readToken">;

export type AudienceUpdateOptions = {
  primary: PrimaryQueue;
  fallback: UpdateQueue;
  /** Where what came over the fallback queue waits for Pulsar. */
  ledgerQueue: UpdateQueue;
  /** Where membership changes wait for Pulsar. */
  changesQueue: UpdateQueue;
  store: ProfileStore;
  /** What the tenants have defined. */
  definitionStore: DocumentStore;
  /** What gateways know of the tenants. */
  tenantStore: DocumentStore;
  /** Settings that operators change while consumers run. */
  settingsStore: DocumentStore;
  /** The moments at which time alone changes something. */
  dueStore: DueStore;
  /** Who the members of an audience are, for those who list them. */
  memberStore: MemberStore;
  routeStore: RouteStore;
  readSubscription?: ReadSubscription | undefined;
  settings: ServiceSettings;
  log: Log;
  /** How many messages wait in these queues for Pulsar; absent where nobody asks. */
  waiting?: Record<WaitingQueue, () => Promise<number>>;
  /** Adds routes of the caller's own before the server listens. */
  extendServer?: (server: FastifyInstance) => void;
  /** Told of each update that counts, and how long it took from publish to visible. */
  onCounted?: (priority: Priority, lagMs: number) => void;
};

export type AudienceUpdate = {
  /** Where the admin endpoint listens, such as `http://127.0.0.1:8090`. */
  adminUrl: string;
  routing: Routing;
  flow: UpdateFlow;
  metrics: UpdateMetrics;
  /** As `UpdateConsumer.close`; the admin endpoint answers until the end of it. */
  close(): Promise<void>;
};

/** The service around ports that its composition root has opened and closes. */
export async function startAudienceUpdate(options: AudienceUpdateOptions): Promise<AudienceUpdate> {
  const { store, routeStore, settings, log } = options;
  const lifecycle = createLifecycle(log);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = createUpdateMetrics(registry, () => flow.counts(), options.onCounted);
  // Opened before the consumer and so closed after it: it answers while the consumer drains.
  const server = lifecycle.own(
    "admin server",
    await createHttpServer({ log, title: "Keyline audience-update", part: "admin" }),
  );
  const consumer = lifecycle.own("consumer", createUpdateConsumer({ ...options, metrics, now: Date.now }));
  const { routing, flow } = consumer;

  const catalog = lifecycle.own(
    "definition catalog",
    createDefinitionCatalog({
      store: options.definitionStore,
      members: options.memberStore,
      compiledBefore: consumer.definitions.readable,
      maxStateLength: maxStateLength(settings),
      now: Date.now,
      onError: logRepeated(log, "warn", "members of a version that is over could not be dropped"),
    }),
  );
  const operators = createOperators(settings.adminToken);
  const readers = settings.readToken === "" ? undefined : createOperators(settings.readToken);
  const access = { operators, readers };

  addRouteMetrics(registry, routing);
  if (options.waiting) addWaitingGauge(registry, options.waiting);
  addBreakerRoutes(server, {
    routing,
    routeStore,
    operators,
    counters: () => ({
      counted: metrics.counted(),
      ledger: { kept: metrics.keptCount(), ...metrics.completionCounts("ledger") },
      changes: { ...metrics.changeCounts(), completed: metrics.completionCounts("changes").completed },
      inFlight: flow.counts(),
    }),
  });
  addSettingsRoutes(server, { live: consumer.liveSettings, operators });
  addHotUserRoutes(server, { hotUsers: consumer.hotUsers, access });
  const { definitionStore } = options;
  const reads = { ...access, watch: consumer.definitions };
  addDefinitionRoutes(server, { ...reads, catalog, definitionStore });
  const loader = createProfileLoader(store);
  addProfileRoutes(server, { ...reads, loader });
  addExplainRoutes(server, { ...reads, loader });
  addMemberRoutes(server, { ...reads, memberStore: options.memberStore });
  addHealthRoutes(server, {
    registry,
    readyMeans: "updates can be applied",
    readiness: async () =>
      readinessOf({
        storeProblem: await problemOf(store.ping()),
        definitionsLoaded: consumer.definitions.isLoaded(),
        connected: consumer.connected(),
        unreachableQueues: consumer.unreachableQueues(),
      }),
  });
  options.extendServer?.(server);
  const names = { host: "ADMIN_HOST", port: "ADMIN_PORT" };
  const address = { host: settings.adminHost, port: settings.adminPort, names };
  const adminUrl = await listen(server, address).catch(async (error: unknown) => {
    await lifecycle.close();
    throw error;
  });
  flow.start();
  return { adminUrl, routing, flow, metrics, close: lifecycle.close };
}

async function problemOf(check: Promise<void>): Promise<string | undefined> {
  try {
    await check;
    return undefined;
  } catch (error) {
    return toError(error).message;
  }
}

function addRouteMetrics(registry: Registry, { router, breaker, sampler, signals }: Routing): void {
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
  new Gauge({
    name: "keyline_signal_bad",
    help: "1 while a health signal is bad, 0 while it is good, NaN while it is unknown",
    labelNames: ["signal", "partition"],
    registers,
    collect() {
      for (const { name, partition = "", verdict } of signals())
        this.set({ signal: name, partition }, verdict === "unknown" ? Number.NaN : Number(verdict === "bad"));
    },
  });
  const openings = new Counter({
    name: "keyline_breaker_openings_total",
    help: "Openings of this process's breaker",
    registers,
  });
  breaker.onChange(({ state }) => state === "open" && openings.inc());
}
