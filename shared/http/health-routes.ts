import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";

export type Readiness = {
  ready: boolean;
  /** Each thing that matters, as "ok" or why it does not work, in plain words. */
  checks: Record<string, string>;
};

/** GET /livez, /readyz, /metrics. */
export function addHealthRoutes(
  server: FastifyInstance,
  {
    readiness,
    registry,
    readyMeans,
  }: { readiness(): Promise<Readiness>; registry: Registry; readyMeans: string },
): void {
  server.get("/livez", { schema: { summary: "200 while the process runs" } }, () => ({ status: "alive" }));

  server.get("/readyz", { schema: { summary: `200 when ${readyMeans}, else 503` } }, async (_, reply) => {
    const { ready, checks } = await readiness();
    return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not ready", checks });
  });

  server.get("/metrics", { schema: { summary: "Prometheus metrics" } }, async (_, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  );
}
