import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import type { Operators } from "../../../shared/http/operators.ts";
import type { RouteStore } from "../../../shared/ports/route-store.ts";
import type { Routing } from "../../../shared/routing/start-routing.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { Audit, type AuditLine, BreakerStatus } from "./breaker-schema.ts";
import { isoTime } from "./iso-time.ts";
import { whoAndWhy } from "./who-and-why.ts";

const MAX_OVERRIDE_SECONDS = 86_400;

const Toggle = Type.Object(
  {
    route: Type.Enum(["pulsar", "sqs", "auto"], {
      description: "pulsar or sqs forces the fleet there, auto ends the override",
    }),
    expiresInSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_OVERRIDE_SECONDS,
        description: "the override ends by itself; required for pulsar and sqs",
      }),
    ),
    ...whoAndWhy,
  },
  { additionalProperties: false },
);

const AuditQuery = Type.Object(
  { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })) },
  { additionalProperties: false },
);

export type BreakerRouteOptions = {
  routing: Routing;
  routeStore: RouteStore;
  operators: Operators;
  /** Counters of this process, shown beside the route. */
  counters(): Record<string, unknown>;
};

/** Shows and forces the route: GET and PUT /admin/breaker, GET /admin/audit. */
export function addBreakerRoutes(server: FastifyInstance, options: BreakerRouteOptions): void {
  const { routing, routeStore, operators } = options;
  const { router, breaker, sampler, voter } = routing;
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();

  function show() {
    const { path, by, why } = router.route();
    const { state, error } = router.fleet();
    const canary = sampler.lastCanary();
    return {
      route: path,
      by,
      why,
      since: isoTime(router.sinceMs()),
      override: state?.override && by === "override" ? inIsoTime(state.override) : null,
      fleet: state && {
        route: state.route,
        since: state.sinceMs === 0 ? null : isoTime(state.sinceMs),
        votes: state.votes.map(({ expiresAtMs, ...vote }) => ({
          ...vote,
          expiresAt: isoTime(expiresAtMs),
          own: vote.voter === voter,
        })),
      },
      fleetError: error ?? null,
      local: { ...breaker.state(), sinceMs: undefined, since: isoTime(breaker.state().sinceMs) },
      signals: routing.signals(),
      canary: canary ? inIsoTime(canary) : null,
      counters: options.counters(),
    };
  }

  routes.get(
    "/admin/breaker",
    {
      schema: {
        summary: "The route, why, health signals, votes, counters, since when",
        response: { 200: BreakerStatus },
      },
    },
    show,
  );

  routes.put(
    "/admin/breaker",
    {
      schema: {
        summary: "Forces the fleet's route, or ends that",
        body: Toggle,
        response: { 200: BreakerStatus },
        security: [{ bearer: [] }],
      },
      config: { errors: [400, 401, 413, 415, 503] },
      onRequest: async (request, reply) => {
        if (operators.authenticate(request.headers.authorization)) return;
        request.log.warn({ address: request.ip }, "unauthorised call to PUT /admin/breaker");
        reply.header("www-authenticate", "Bearer");
        throw new KeylineError(
          "unauthorised",
          "a bearer token of ADMIN_TOKEN is required; nothing has changed",
        );
      },
    },
    async (request) => {
      const { route, reason, expiresInSeconds, name: given } = request.body;
      const name = operators.authenticate(request.headers.authorization)?.name ?? given ?? "operator";
      if (route === "auto") {
        await routeStore.clearOverride({ reason, name });
      } else {
        if (expiresInSeconds === undefined) {
          const path = "expiresInSeconds";
          throw new KeylineError("invalid_request", `${path}: is required to force a route`, { path });
        }
        await routeStore.override({ route, reason, name, expiresInMs: expiresInSeconds * 1000 });
      }
      request.log.warn({ route, reason, name, expiresInSeconds }, `${name} set the route to ${route}`);
      await router.refresh();
      return show();
    },
  );

  routes.get(
    "/admin/audit",
    {
      schema: {
        summary: "Changes of route and override, newest first",
        querystring: AuditQuery,
        response: { 200: Audit },
      },
      config: { errors: [400, 503] },
    },
    async ({ query: { limit = 100 } }) => ({
      lines: (await routeStore.audit(limit)).map(inIsoTime) as AuditLine[],
    }),
  );
}

/** Fields such as `atMs` and `setAtMs` as ISO 8601 `at` and `setAt`, for people. */
function inIsoTime(record: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) =>
      /^atMs$|AtMs$/.test(name) && typeof value === "number"
        ? [name.slice(0, -2), isoTime(value)]
        : [name, value],
    ),
  );
}
