import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type { Demo } from "./demo.ts";

export type DemoRouteOptions = {
  /** Resolves when the service has started. */
  demo: Promise<Demo>;
  /** The page, with `{{nonce}}` and `{{token}}` in it. */
  page: string;
  /** Stands in the page's token field; empty when it must not be given away. */
  pageToken: string;
};

/** GET / and /demo/status, POST /demo/break and /demo/heal. */
export function addDemoRoutes(server: FastifyInstance, { demo, page, pageToken }: DemoRouteOptions): void {
  const withToken = page.replaceAll("{{token}}", () => escapeAttribute(pageToken));

  server.get("/", { schema: { hide: true } }, (_, reply) => {
    const nonce = randomBytes(16).toString("base64");
    return reply
      .type("text/html; charset=utf-8")
      .header("cache-control", "no-store")
      .header("x-content-type-options", "nosniff")
      .header("referrer-policy", "no-referrer")
      .header(
        "content-security-policy",
        `default-src 'none'; connect-src 'self'; img-src data:; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      )
      .send(withToken.replaceAll("{{nonce}}", nonce));
  });

  server.get("/demo/status", { schema: { hide: true } }, async (_, reply) =>
    reply.header("cache-control", "no-store").send(await (await demo).status()),
  );

  server.post("/demo/break", { schema: { hide: true } }, async () => {
    const { breakPulsar, pulsar } = await demo;
    breakPulsar();
    return { pulsar: pulsar() };
  });

  server.post("/demo/heal", { schema: { hide: true } }, async () => {
    const { healPulsar, pulsar } = await demo;
    healPulsar();
    return { pulsar: pulsar() };
  });
}

function escapeAttribute(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
