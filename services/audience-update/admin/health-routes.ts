import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";

/** One thing that must work for this process to do its job. Resolves with what is wrong, or undefined. */
export type ReadyCheck = () => Promise<string | undefined>;

/** GET /livez, /readyz, /metrics. */
export function addHealthRoutes(
  server: FastifyInstance,
  { checks, registry }: { checks: Record<string, ReadyCheck>; registry: Registry },
): void {
  server.get("/livez", { schema: { summary: "200 while the process runs" } }, () => ({ status: "alive" }));

  server.get(
    "/readyz",
    { schema: { summary: "200 when updates can be applied, else 503" } },
    async (_, reply) => {
      const entries = Object.entries(checks).map(
        async ([name, check]) => [name, (await check()) ?? "ok"] as const,
      );
      const results = Object.fromEntries(await Promise.all(entries));
      const ready = Object.values(results).every((result) => result === "ok");
      return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not ready", checks: results });
    },
  );

  server.get("/metrics", { schema: { summary: "Prometheus metrics" } }, async (_, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  );
}
