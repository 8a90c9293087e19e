import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import {
  createGatewayClient,
  type GatewayClient,
  KeylineError,
} from "../../shared/publish/gateway-client.ts";
import { type MemoryGateway, startMemoryGateway } from "../support/memory-gateway.ts";

const TOKEN = "operators-token";
const KEY = "a-key-of-the-shop";
let gateway: MemoryGateway;
let client: GatewayClient;
let server: Server | undefined;

afterEach(async () => {
  await client.close();
  await gateway?.close();
  server?.close();
  server = undefined;
});

async function start(options: { maxBatch?: number; maxUnderWay?: number; deadlineMs?: number } = {}) {
  gateway = await startMemoryGateway({ adminToken: TOKEN, nowMs: Date.UTC(2026, 10, 29) });
  await fetch(`${gateway.url}/admin/tenants/shop`, {
    method: "PUT",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ writeKeys: [KEY] }),
  });
  client = createGatewayClient({ url: gateway.url, writeKey: KEY, ...options });
}

test("each call resolves with its update's id, and what comes together shares requests", async () => {
  await start({ maxBatch: 50 });
  const user = client.user("ann");
  const receipts = await Promise.all(
    Array.from({ length: 120 }, (_, n) => user.increment({ points: 1 }, { id: `i-${n}` })),
  );
  expect(receipts.map(({ id }) => id)).toEqual(Array.from({ length: 120 }, (_, n) => `i-${n}`));
  expect(gateway.published).toHaveLength(120);
  expect(gateway.published[0]).toMatchObject({ tenant: "shop", userId: "ann" });
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toContain('keyline_gateway_request_seconds_count{route="/v1/updates",status="200"} 3\n');
});

test("an update that is wrong is refused with path and value, and costs no other", async () => {
  await start();
  const user = client.user("ann");
  const [wrong, right] = await Promise.allSettled([
    user.increment({ points: "5" as unknown as number }),
    user.set({ plan: "pro" }),
  ]);
  expect(right.status).toBe("fulfilled");
  expect((wrong as PromiseRejectedResult).reason).toMatchObject({
    code: "invalid_update",
    path: "ops[0].body.points",
    retryable: false,
  });
});

test("what neither path takes is sent again under the same id, until it is taken", async () => {
  await start();
  gateway.failWith(new KeylineError("publish_failed", "neither path took it", { retryable: true }));
  const sent = client.user("ann").event("order_completed");
  setTimeout(() => gateway.failWith(undefined), 300);
  const { id } = await sent;
  expect(gateway.published.map((update) => update.id)).toEqual([id]);
});

test("at its deadline a call says what stood against it last", async () => {
  await start({ deadlineMs: 400 });
  gateway.failWith(new KeylineError("publish_failed", "neither path took it", { retryable: true }));
  await expect(client.user("ann").set({ plan: "pro" })).rejects.toMatchObject({ code: "publish_failed" });
});

test("nobody's key is said at once, and too much under way is refused", async () => {
  await start();
  await client.close();
  client = createGatewayClient({ url: gateway.url, writeKey: "a-key-of-nobody-here", maxUnderWay: 1 });
  const first = client.user("ann").set({ plan: "pro" });
  await expect(client.user("ann").set({ plan: "pro" })).rejects.toMatchObject({ code: "client_full" });
  await expect(first).rejects.toMatchObject({ code: "unauthorised", retryable: false });
});

test("a gateway that is not there, or answers nonsense, is tried again until the deadline", async () => {
  let answers = 0;
  server = createServer((_, response) => {
    answers += 1;
    if (answers === 1) response.writeHead(502).end("<html>bad gateway</html>");
    else response.end(JSON.stringify({ results: [{ id: "i-1", path: "pulsar" }] }));
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  client = createGatewayClient({ url: `http://127.0.0.1:${port}`, writeKey: KEY });
  expect(await client.user("ann").set({ plan: "pro" }, { id: "i-1" })).toEqual({ id: "i-1", path: "pulsar" });
  await client.close();
  client = createGatewayClient({ url: "http://127.0.0.1:1", writeKey: KEY, deadlineMs: 300 });
  await expect(client.user("ann").set({ plan: "pro" })).rejects.toMatchObject({
    code: "gateway_unreachable",
  });
});

test("a request that is too large in all goes in parts", async () => {
  await start();
  const long = "x".repeat(60_000);
  const receipts = await Promise.all(
    Array.from({ length: 40 }, (_, n) => client.user(`user-${n}`).set({ text: long }, { id: `i-${n}` })),
  );
  expect(receipts).toHaveLength(40);
  expect(new Set(gateway.published.map(({ id }) => id)).size).toBe(40);
});
