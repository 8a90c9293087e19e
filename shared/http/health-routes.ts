import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";
import Type from "typebox";

export type Readiness = {
  ready: boolean;
  /** Each thing that matters, as "ok" or why it does not work, in plain words. */
  checks: Record<string, string>;
};

const Ready = Type.Object({
  status: Type.Enum(["ready", "not ready"]),
  checks: Type.Record(Type.String(), Type.String(), {
    description: "each thing that matters: ok, or why not",
  }),
});

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

  const ready = { summary: `200 when ${readyMeans}, else 503`, response: { 200: Ready, 503: Ready } };
  server.get("/readyz", { schema: ready }, async (_, reply) => {
    const { ready, checks } = await readiness();
    return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not ready", checks });
  });

  server.get("/metrics", { schema: { summary: "Prometheus metrics" } }, async (_, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  );
}
