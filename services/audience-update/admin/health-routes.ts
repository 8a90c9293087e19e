import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";

/** What must work for updates to be applied. */
export type Readiness = {
  /** Why the store can't save, in plain words; undefined when it can. */
  store: string | undefined;
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
      const { store, pulsar, sqs } = await readiness();
      const ready = store === undefined && (pulsar || sqs);
      return reply.code(ready ? 200 : 503).send({
        status: ready ? "ready" : "not ready",
        checks: {
          store: store ?? "ok",
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
