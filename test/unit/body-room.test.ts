import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type MemoryGateway, startMemoryGateway } from "../support/memory-gateway.ts";
import { until } from "../support/until.ts";

const TOKEN = "operators-token";
const KEY = "a-write-key-of-the-shop";
const MAX_BODY_BYTES = 3_000_000;

let gateway: MemoryGateway;
const sockets: Socket[] = [];

beforeEach(async () => {
  gateway = await startMemoryGateway({ adminToken: TOKEN, nowMs: 0, maxBodyBytes: MAX_BODY_BYTES });
  const made = await fetch(`${gateway.url}/admin/tenants/shop`, {
    method: "PUT",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ writeKeys: [KEY] }),
  });
  expect(made.status).toBe(200);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await gateway.close();
});

/** Begins a request whose body does not come. */
async function begin(headers: string): Promise<Socket> {
  const { hostname, port } = new URL(gateway.url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  socket.on("error", () => {});
  socket.write(`POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\n`);
  socket.write(`Content-Type: application/json\r\n${headers}\r\n\r\n{`);
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

async function track(): Promise<{ status: number; code?: string; retryAfter: string | null }> {
  const response = await fetch(`${gateway.url}/v1/track`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ userId: "ann", event: "seen", properties: { text: "x".repeat(1_000) } }),
  });
  const { error } = (await response.json()) as { error?: { code: string } };
  return {
    status: response.status,
    ...(error && { code: error.code }),
    retryAfter: response.headers.get("retry-after"),
  };
}

test.each([
  ["of stated lengths", ["Content-Length: 1000000", "Content-Length: 1000000", "Content-Length: 999900"]],
  // Each may become as long as a request may be.
  [
    "packed, and of no stated length",
    ["Content-Length: 5\r\nContent-Encoding: gzip", "Transfer-Encoding: chunked"],
  ],
])(
  "bodies %s that fill the room have others told to come again, until one of them ends",
  async (_, bodies) => {
    const begun = await Promise.all(bodies.map((headers) => begin(headers)));
    if (bodies.length === 2) begun.push(await begin("Content-Length: 902000"));
    await until("others are refused", async () => (await track()).status === 503);
    expect(await track()).toEqual({ status: 503, code: "gateway_full", retryAfter: "1" });
    begun[0]!.destroy();
    await until("there is room again", async () => (await track()).status === 200);
  },
);
