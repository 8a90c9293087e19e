import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";

/** What must work for updates to be applied. */
export type Readiness = {
  /** Why the store can't save, in plain words; undefined when it can. */
  store: string | undefined;
  /** Whether the tenants' definitions were seen since the start: before that nothing is folded. */
  definitions: boolean;
  /** Whether messages can come over this path. */
  pulsar: boolean;
  sqs: boolean;
};

/** GET /livez, /readyz, /metrics. One of the two paths is enough to be ready; both are told of. */
export function addHealthRoutes(
  server: FastifyInstance,
  { readiness, registry }: { readiness(): Promise<Readiness>; registry: Registry },
): void {
  server.get("/livez", { schema: { summary: "200 while the process runs" } }, () => ({ status: "alive" }));

  server.get(
    "/readyz",
    { schema: { summary: "200 when updates can be applied, else 503" } },
    async (_, reply) => {
      const { store, definitions, pulsar, sqs } = await readiness();
      const ready = store === undefined && definitions && (pulsar || sqs);
      return reply.code(ready ? 200 : 503).send({
        status: ready ? "ready" : "not ready",
        checks: {
          store: store ?? "ok",
          definitions: definitions ? "ok" : "not loaded yet",
          pulsar: pulsar ? "ok" : "not connected",
          sqs: sqs ? "ok" : "not connected",
        },
      });
    },
  );

  server.get("/metrics", { schema: { summary: "Prometheus metrics" } }, async (_, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  );
}
