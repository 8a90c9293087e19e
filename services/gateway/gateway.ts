/**
 * The gateway: what clients send over HTTP becomes updates of their tenant, each on a path durably before it is
 * answered. Its ports are opened and closed by its composition root.
 */
import fastifyCompress from "@fastify/compress";
import type { FastifyInstance } from "fastify";
import { Counter, collectDefaultMetrics, Histogram, Registry } from "prom-client";
import { addHealthRoutes } from "../../shared/http/health-routes.ts";
import { createHttpServer, listen } from "../../shared/http/http-server.ts";
import { readJsonBodies } from "../../shared/http/json-body.ts";
import { createOperators } from "../../shared/http/operators.ts";
import { spellPackingInSmall, unknownPacking } from "../../shared/http/packed-body.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import type { LinkStore } from "../../shared/ports/link-store.ts";
import type { RateStore } from "../../shared/ports/rate-store.ts";
import type { Publisher } from "../../shared/publish/publisher.ts";
import { createLifecycle, type Lifecycle } from "../../shared/runtime/lifecycle.ts";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";
import type { Values } from "../../shared/runtime/settings.ts";
import { type Acceptor, createAcceptor } from "./accept.ts";
import { boundBodies } from "./http/body-room.ts";
import { addCloudEventRoutes } from "./http/cloud-event-routes.ts";
import { addImportRoutes } from "./http/import-routes.ts";
import { addSchemaRoutes } from "./http/schema-routes.ts";
import { addSegmentRoutes } from "./http/segment-routes.ts";
import { addTenantRoutes } from "./http/tenant-routes.ts";
import { addUpdateRoutes } from "./http/update-routes.ts";
import { createKnownShortages } from "./known-shortages.ts";
import { MAX_REQUEST_BYTES } from "./limits.ts";
import { createLinkLimit } from "./link-limit.ts";
import { createSchemaCatalog } from "./schemas/schema-catalog.ts";
import { createSchemaCheck } from "./schemas/schema-check.ts";
import { startSchemaRegistry } from "./schemas/schema-registry.ts";
import type { gatewaySettings } from "./settings.ts";
import { createTenantCatalog } from "./tenants/tenant-catalog.ts";
import { startTenantRegistry } from "./tenants/tenant-registry.ts";

export type GatewayOptions = {
  publisher: Pick<Publisher, "publishAll">;
  tenantStore: DocumentStore;
  schemaStore: DocumentStore;
  rateStore: RateStore;
  linkStore: LinkStore;
  /** This process's own, for while that can't be asked. */
  localRateStore: RateStore;
  settings: Pick<
    Values<typeof gatewaySettings>,
    "gatewayHost" | "gatewayPort" | "adminToken" | "maxUnderWay" | "maxBodyBytes" | "maxImportBytes"
  >;
  log: Log;
  /** Milliseconds since the epoch. */
  now(): number;
};

export type Gateway = {
  /** Where it listens, such as `http://127.0.0.1:8091`. */
  url: string;
  /** Takes no new request, and answers those that it has; after 15 s it cuts the rest. */
  close(): Promise<void>;
};

/** Longer than updates take by default, shorter than Kubernetes waits. */
const FINISH_WITHIN_MS = 15_000;

/** Of the tenants that were refused last, two each. */
const MAX_KNOWN_SHORTAGES = 10_000;

/** @throws KeylineError `listen_failed` */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { server, close } = await createGateway(options);
  const { gatewayHost: host, gatewayPort: port } = options.settings;
  const names = { host: "GATEWAY_HOST", port: "GATEWAY_PORT" };
  const url = await listen(server, { host, port, names }).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return { url, close };
}

/** All of it but its port: it does not listen yet. */
export async function createGateway(
  options: Omit<GatewayOptions, "settings"> & {
    settings: Pick<
      GatewayOptions["settings"],
      "adminToken" | "maxUnderWay" | "maxBodyBytes" | "maxImportBytes"
    >;
  },
): Promise<{ server: FastifyInstance; close(): Promise<void> }> {
  const { publisher, tenantStore, rateStore, linkStore, localRateStore, settings, log, now } = options;
  const lifecycle = createLifecycle(log);
  const registry = lifecycle.own(
    "tenant registry",
    startTenantRegistry({
      store: tenantStore,
      onChange: (tenant, version) =>
        log.info({ tenant, version }, `settings of ${tenant}: version ${version}`),
      onError: logRepeated(log, "error", "could not look for tenants, it is tried again"),
    }),
  );
  const metrics = new Registry();
  collectDefaultMetrics({ register: metrics });
  const server = lifecycle.own(
    "gateway server",
    await createHttpServer({
      ...{
        log,
        title: "Keyline gateway",
        part: "gateway",
        bodyLimit: MAX_REQUEST_BYTES,
        unpacksBodies: true,
      },
      securitySchemes: {
        writeKey: { type: "http", scheme: "basic", description: "a write key as the name, no password" },
      },
      finishWithinMs: FINISH_WITHIN_MS,
    }),
  );
  boundBodies(server, { maxBytes: settings.maxBodyBytes, bodyLimit: MAX_REQUEST_BYTES });
  server.addHook("onRequest", spellPackingInSmall);
  // Requests only: what is answered is a fraction of what came.
  await server.register(fastifyCompress, {
    ...{ globalCompression: false, requestEncodings: ["gzip", "deflate", "identity"] },
    onUnsupportedRequestEncoding: (encoding) => unknownPacking(encoding, "gzip or deflate"),
  });
  // Browsers can't send another type without asking first, so Segment's send JSON as text.
  readJsonBodies(server, ["text/plain"]);
  addLatency(server, metrics);
  const schemas = startSchemas(options, lifecycle, metrics);
  const acceptor = createAcceptor({
    checkSchema: schemas.check,
    limitLinks: createLinkLimit({
      links: linkStore,
      onError: logRepeated(
        log,
        "error",
        "could not ask for the records of a user, nothing is refused for them",
      ),
    }),
    ...{ publisher, localRates: localRateStore, maxUnderWay: settings.maxUnderWay },
    rates: createKnownShortages(rateStore, { maxBuckets: MAX_KNOWN_SHORTAGES, now: () => performance.now() }),
    onUnknownRate: logRepeated(
      log,
      "error",
      "could not ask for the buckets of quotas, this gateway goes by its own",
    ),
    onSettled: countUpdates(metrics),
  });
  addInputRoutes(server, { registry, acceptor, now });
  await addImportRoutes(server, { registry, acceptor, maxImportBytes: settings.maxImportBytes });
  const catalog = createTenantCatalog({ store: tenantStore, registry, now });
  const operators = createOperators(settings.adminToken);
  addTenantRoutes(server, { catalog, registry, operators });
  addSchemaRoutes(server, { ...schemas, tenants: catalog, operators });
  addHealthRoutes(server, {
    registry: metrics,
    readyMeans: "updates can be taken",
    readiness: async () => {
      const [tenants, known] = [registry.isLoaded(), schemas.registry.isLoaded()];
      const stateOf = (isLoaded: boolean) => (isLoaded ? "ok" : "not read yet");
      return { ready: tenants && known, checks: { tenants: stateOf(tenants), schemas: stateOf(known) } };
    },
  });
  return { server, close: lifecycle.close };
}

type InputOptions = {
  registry: ReturnType<typeof startTenantRegistry>;
  acceptor: Acceptor;
  now(): number;
};

function addInputRoutes(server: FastifyInstance, options: InputOptions): void {
  addUpdateRoutes(server, options);
  addSegmentRoutes(server, options);
  addCloudEventRoutes(server, options);
}

/** What is known of each tenant's schema, and what becomes of updates by it. */
function startSchemas(
  { schemaStore: store, log, now }: Pick<GatewayOptions, "schemaStore" | "log" | "now">,
  lifecycle: Lifecycle,
  metrics: Registry,
) {
  const problems = new Counter({
    name: "keyline_gateway_schema_problems_total",
    help: "What is not as a schema says: values and names that were warned of or dropped, updates that were rejected or over a quota of names",
    labelNames: ["tenant", "result"],
    registers: [metrics],
  });
  const catalog = createSchemaCatalog({ store, now });
  const onError = logRepeated(log, "error", "could not look for schemas or write them, it is tried again");
  const registry = lifecycle.own("schema registry", startSchemaRegistry({ store, catalog, onError }));
  const warn = new Map<string, (warning: unknown) => void>();
  const { check, problemsOf } = createSchemaCheck({
    registry,
    onProblem: (tenant, result, count) => problems.inc({ tenant, result }, count),
    onWarning(tenant, warning) {
      const known = warn.get(tenant) ?? logRepeated(log, "warn", `not as the schema of ${tenant} says`);
      warn.set(tenant, known);
      known(warning);
    },
  });
  return { catalog, registry, check, problemsOf };
}

function addLatency(server: FastifyInstance, metrics: Registry): void {
  const latency = new Histogram({
    name: "keyline_gateway_request_seconds",
    help: "From the request's headers to its answer",
    labelNames: ["route", "status"],
    registers: [metrics],
  });
  server.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "none";
    latency.observe({ route, status: reply.statusCode }, reply.elapsedTime / 1_000);
  });
}

function countUpdates(metrics: Registry) {
  const updates = new Counter({
    name: "keyline_gateway_updates_total",
    help: "Updates by what became of them: accepted, refused (400), failed (503), throttled (429)",
    labelNames: ["tenant", "result"],
    registers: [metrics],
  });
  return (tenant: string, result: string, count: number) => updates.inc({ tenant, result }, count);
}
