import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { hashOf } from "../../services/gateway/tenants/tenant.ts";
import { createTenantCatalog } from "../../services/gateway/tenants/tenant-catalog.ts";
import { startTenantRegistry } from "../../services/gateway/tenants/tenant-registry.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import { createHttpServer } from "../../shared/http/http-server.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import { createPublisher, type PublisherOptions } from "../../shared/publish/publisher.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { type MemoryGateway, startMemoryGateway } from "../support/memory-gateway.ts";
import { until } from "../support/until.ts";

const log = pino({ level: "silent" });
const NOW_MS = Date.UTC(2026, 10, 29);
const TOKEN = "operators-token";

let gateway: MemoryGateway;

afterEach(() => gateway.close());

async function start(): Promise<void> {
  gateway = await startMemoryGateway({ adminToken: `ann=${TOKEN}`, nowMs: NOW_MS });
}

type Answered = { id?: string; path?: string; error: { code: string; path?: string } };
/** What is looked at of any answer. */
type Body = {
  error: { code: string; path?: string };
  accepted: number;
  results: Answered[];
  id: string;
  writeKey: string;
  writeKeys: { id: string }[];
  version: number;
  openapi: string;
  paths: object;
};

async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Body; headers: Headers }> {
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined
      ? {}
      : { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: text === "" ? undefined : JSON.parse(text),
    headers: response.headers,
  };
}

const asOperator = { authorization: `Bearer ${TOKEN}` };
const withKey = (key: string) => ({ authorization: `Basic ${Buffer.from(`${key}:`).toString("base64")}` });
const KEY = "a-key-of-the-shop";
const track = (number: number) => ({
  type: "track",
  event: "order_completed",
  userId: "ann",
  messageId: `m-${number}`,
  properties: { amount: number },
});

async function startWithTenant(settings: object = {}): Promise<void> {
  await start();
  const { status } = await call("PUT", "/admin/tenants/shop", { writeKeys: [KEY], ...settings }, asOperator);
  expect(status).toBe(200);
}

test("a batch of Segment's calls becomes updates of the key's tenant", async () => {
  await startWithTenant();
  const batch = [
    track(1),
    { type: "identify", userId: "ann", messageId: "m-2", traits: { plan: "pro", old: null } },
  ];
  const { status, body } = await call("POST", "/v1/batch", { batch }, withKey(KEY));
  expect(status).toBe(200);
  expect(body).toEqual({
    success: true,
    accepted: 2,
    results: [
      { id: "m-1", path: "pulsar" },
      { id: "m-2", path: "pulsar" },
    ],
  });
  expect(gateway.published).toMatchObject([
    { tenant: "shop", userId: "ann", id: "m-1", ops: [{ kind: "event", body: { name: "order_completed" } }] },
    { tenant: "shop", userId: "ann", ops: [{ kind: "set" }, { kind: "unset" }, { kind: "event" }] },
  ]);
});

test("one call that is wrong is told of with its place, and costs no other", async () => {
  await startWithTenant();
  const batch = [track(1), { type: "track", userId: "ann" }, track(3)];
  const { status, body } = await call("POST", "/v1/batch", { batch }, withKey(KEY));
  expect(status).toBe(200);
  expect(body).toMatchObject({ success: false, accepted: 2 });
  expect(body.results[1]!.error).toMatchObject({ code: "invalid_request", path: "batch[1].event" });
  expect(gateway.published).toHaveLength(2);
});

test("a request of which nothing can be taken is 400, with the first reason", async () => {
  await startWithTenant();
  const { status, body } = await call("POST", "/v1/track", { userId: "ann" }, withKey(KEY));
  expect(status).toBe(400);
  expect(body.error).toMatchObject({ code: "invalid_request", path: "event" });
});

test("a batch is 1 to 1,000 calls", async () => {
  await startWithTenant();
  for (const batch of [[], Array.from({ length: 1_001 }, (_, n) => track(n)), "x".repeat(2_000)]) {
    const { status, body } = await call("POST", "/v1/batch", { batch }, withKey(KEY));
    expect([status, body.error]).toMatchObject([400, { code: "invalid_request", path: "batch" }]);
  }
  expect(gateway.published).toEqual([]);
});

test.each([
  ["too many names", Object.fromEntries(Array.from({ length: 257 }, (_, n) => [`f${n}`, 1]))],
  ["more bytes than all calls may have of it", { page: "x".repeat(20_000) }],
  ["no object", []],
])("the context of a batch is refused once, not with each call: %s", async (_, context) => {
  await startWithTenant();
  const batch = Array.from({ length: 1_000 }, (_, n) => track(n));
  const { status, body } = await call("POST", "/v1/batch", { batch, context }, withKey(KEY));
  expect([status, body.error]).toMatchObject([400, { code: "invalid_request", path: "context" }]);
  expect(gateway.published).toEqual([]);
});

test("a batch's usual context goes with each of its calls", async () => {
  await startWithTenant();
  const batch = Array.from({ length: 1_000 }, (_, n) => track(n));
  const context = { library: { name: "a-library", version: "1" }, text: "x".repeat(3_000) };
  const { status, body } = await call("POST", "/v1/batch", { batch, context }, withKey(KEY));
  expect([status, body.accepted]).toEqual([200, 1_000]);
});

test("no key, and nobody's, are 401, whatever the body", async () => {
  await startWithTenant();
  for (const headers of [{}, withKey("a-key-of-nobody-here"), { authorization: "Basic !" }]) {
    const { status, body } = await call("POST", "/v1/track", track(1), headers as Record<string, string>);
    expect([status, body.error.code]).toEqual([401, "unauthorised"]);
  }
  expect(gateway.published).toEqual([]);
});

test("whoever has nobody's key is told before the body is read", async () => {
  await startWithTenant();
  const bomb = gzipSync(Buffer.alloc(50_000_000, " "));
  const packed = { "content-encoding": "gzip" };
  for (const [path, headers] of [
    ["/v1/batch", withKey("a-key-of-nobody-here")],
    ["/v1/updates", {}],
  ] as const)
    expect((await call("POST", path, bomb, { ...packed, ...headers })).status).toBe(401);
});

test("a key is taken from the body of a beacon, and a body may be packed", async () => {
  await startWithTenant();
  const beacon = await fetch(`${gateway.url}/v1/track`, {
    method: "POST",
    body: JSON.stringify({ ...track(1), writeKey: KEY }),
    headers: { "content-type": "text/plain" },
  });
  expect(beacon.status).toBe(200);
  const packed = gzipSync(JSON.stringify({ batch: [track(2)] }));
  const { status } = await call("POST", "/v1/batch", packed, { ...withKey(KEY), "content-encoding": "gzip" });
  expect(status).toBe(200);
  expect(gateway.published).toHaveLength(2);
  const br = await call("POST", "/v1/batch", packed, { ...withKey(KEY), "content-encoding": "br" });
  expect(br).toMatchObject({
    status: 415,
    body: { error: { code: "unsupported_media_type", path: "content-encoding", value: '"br"' } },
  });
  for (const encoding of ["identity", "Identity"]) {
    const plain = { ...withKey(KEY), "content-encoding": encoding };
    expect((await call("POST", "/v1/batch", { batch: [track(3)] }, plain)).status).toBe(200);
  }
  const inCapitals = { ...withKey(KEY), "content-encoding": "GZIP" };
  expect((await call("POST", "/v1/batch", packed, inCapitals)).status).toBe(200);
});

test("a body that is not UTF-8 is refused, so that no two users become one", async () => {
  await startWithTenant();
  for (const type of ["application/json", "text/plain", "application/cloudevents+json"]) {
    const bytes = Buffer.from(JSON.stringify({ ...track(1), userId: "ann\u00ff" }), "latin1");
    const { status, body } = await call("POST", "/v1/track", bytes, {
      ...withKey(KEY),
      "content-type": type,
    });
    expect([status, body.error]).toMatchObject([400, { code: "invalid_request", path: "body" }]);
  }
  expect(gateway.published).toEqual([]);
});

test("without a key in the headers no more is read than a beacon may be", async () => {
  await startWithTenant();
  const long = { ...track(1), writeKey: KEY, properties: { text: "x".repeat(70_000) } };
  const { status, body } = await call("POST", "/v1/track", long);
  expect([status, body.error]).toMatchObject([413, { code: "too_large", path: "body" }]);
  expect((await call("POST", "/v1/track", long, withKey(KEY))).status).toBe(200);
});

test("a field beside the updates is named", async () => {
  await startWithTenant();
  const updates = [{ userId: "ann", ops: [{ kind: "unset", body: ["a"] }] }];
  const { status, body } = await call("POST", "/v1/updates", { updates, dryRun: true }, withKey(KEY));
  expect([status, body.error]).toMatchObject([
    400,
    { code: "invalid_request", path: "dryRun", value: "true" },
  ]);
  expect((await call("POST", "/v1/updates", "null", withKey(KEY))).body.error.path).toBe("body");
});

/** As JSON has it: a literal would set the prototype. */
const poisoned = (item: object, name = "__proto__") =>
  JSON.stringify({ ...item, poison: { poison: 1 } }).replace('"poison":{"poison"', `"properties":{"${name}"`);

test.each([
  ["/v1/batch", `{"batch":[${JSON.stringify(track(1))},${poisoned(track(2))}]}`, "batch[1].properties"],
  [
    "/v1/batch",
    `{"context":{"page":"/"},"batch":[${JSON.stringify(track(1))},${poisoned(track(2), "\\u005f_proto__")}]}`,
    "batch[1].properties",
  ],
  [
    "/v1/updates",
    `{"updates":[${JSON.stringify({ userId: "ann", ops: [{ kind: "unset", body: ["a"] }] })},${poisoned({})}]}`,
    "updates[1].properties",
  ],
  [
    "/v1/events",
    `[${JSON.stringify({ specversion: "1.0", id: "1", source: "/", type: "order", subject: "ann" })},${poisoned({})}]`,
    "[1].properties",
  ],
])(
  "a name that could reach into a prototype is told with its place, and costs no other item: %s",
  async (path, text, place) => {
    await startWithTenant();
    const { status, body } = await call("POST", path, Buffer.from(text), withKey(KEY));
    expect([status, body.accepted]).toEqual([200, 1]);
    expect(body.results[1]!.error).toMatchObject({
      ...{ code: "invalid_request", path: `${place}.__proto__`, value: "1" },
      message: expect.stringContaining(`${place}.__proto__: is a name that is not taken`),
    });
    expect(gateway.published).toHaveLength(1);
  },
);

test.each([
  ["/v1/track", poisoned(track(1)), "properties.__proto__"],
  [
    "/v1/track",
    poisoned(track(1), "constructor").replace('"constructor":1', '"constructor":{"prototype":1}'),
    "properties.constructor.prototype",
  ],
  ["/v1/batch", `{"__proto__":1,"batch":[${JSON.stringify(track(1))}]}`, "__proto__"],
  ["/v1/batch", `{"context":{"__proto__":1},"batch":[${JSON.stringify(track(1))}]}`, "context.__proto__"],
])("such a name outside of items refuses the request, with its place: %s %s", async (path, text, place) => {
  await startWithTenant();
  const { status, body } = await call("POST", path, Buffer.from(text), withKey(KEY));
  expect([status, body.error]).toMatchObject([400, { code: "invalid_request", path: place, value: "1" }]);
  expect(gateway.published).toEqual([]);
});

test("such a name is found however deep it stands, and told in a few words", async () => {
  await startWithTenant();
  const depth = 100_000;
  const text = `{"a":${"[".repeat(depth)}{"__proto__":1}${"]".repeat(depth)}}`;
  const { status, body } = await call("POST", "/v1/track", Buffer.from(text), withKey(KEY));
  expect([status, body.error.code]).toEqual([400, "invalid_request"]);
  expect(JSON.stringify(body).length).toBeLessThan(2_000);
});

test("what unpacks to more than a request may be is 413", async () => {
  await startWithTenant();
  const bomb = gzipSync(Buffer.alloc(50_000_000, " "));
  const { status, body } = await call("POST", "/v1/batch", bomb, {
    ...withKey(KEY),
    "content-encoding": "gzip",
  });
  expect([status, body.error.code]).toEqual([413, "too_large"]);
});

test("exact operations are taken by /v1/updates, each checked by itself", async () => {
  await startWithTenant();
  const updates = [
    {
      userId: "ann",
      id: "u-1",
      at: "2026-11-28T10:00:00Z",
      ops: [{ kind: "increment", body: { points: 5 } }],
    },
    { userId: "ann", ops: [{ kind: "increment", body: { points: "5" } }] },
    { userId: "ann", ops: [{ kind: "unset", body: ["plan"] }], tenant: "other" },
  ];
  const { status, body } = await call("POST", "/v1/updates", { updates }, { authorization: `Bearer ${KEY}` });
  expect(status).toBe(200);
  expect(body.accepted).toBe(1);
  expect(body.results[0]).toEqual({ id: "u-1", path: "pulsar" });
  expect(body.results[1]!.error).toMatchObject({
    code: "invalid_update",
    path: "updates[1].ops[0].body.points",
  });
  expect(body.results[2]!.error).toMatchObject({ code: "invalid_update", path: "updates[2].tenant" });
  expect(gateway.published).toMatchObject([{ tenant: "shop", at: Date.UTC(2026, 10, 28, 10) }]);
});

test("a native update is no tick, its time is RFC 3339, and what it holds is not echoed at length", async () => {
  await startWithTenant();
  const ops = [{ kind: "unset", body: ["plan"] }];
  const updates = [
    { userId: "ann", ops: [{ kind: "tick", body: { due: NOW_MS } }] },
    { userId: "ann", ops, at: "Nov 28 2026" },
    { userId: "ann", ops, at: "x".repeat(100_000) },
    { userId: "ann", ops, at: "2026-11-28T10:00:00" },
    { userId: "ann", ops, at: "2026-11-28T10:00:00Z" },
  ];
  const { body } = await call("POST", "/v1/updates", { updates }, withKey(KEY));
  const paths = body.results.map(({ error }) => error?.path);
  expect(paths).toEqual([
    "updates[0].ops[0].kind",
    "updates[1].at",
    "updates[2].at",
    "updates[3].at",
    undefined,
  ]);
  expect(JSON.stringify(body).length).toBeLessThan(2_000);
  expect(gateway.published).toMatchObject([{ at: Date.UTC(2026, 10, 28, 10) }]);
});

test.each(["1 x", "0000-01-01", "2026-02-30T10:00:00Z", "Nov 28 2026", ""])(
  "%j is not taken for the time of an update",
  async (at) => {
    await startWithTenant();
    const updates = [{ userId: "ann", at, ops: [{ kind: "unset", body: ["plan"] }] }];
    const { status, body } = await call("POST", "/v1/updates", { updates }, withKey(KEY));
    expect([status, body.error]).toMatchObject([400, { code: "invalid_update", path: "updates[0].at" }]);
    expect(gateway.published).toEqual([]);
  },
);

test("CloudEvents are taken one by one and in batches", async () => {
  await startWithTenant();
  const event = {
    specversion: "1.0",
    id: "1",
    source: "/shop",
    type: "order",
    subject: "ann",
    data: { amount: 3 },
  };
  const one = await call("POST", "/v1/events", event, {
    ...withKey(KEY),
    "content-type": "application/cloudevents+json",
  });
  expect([one.status, one.body.results[0]!.id]).toEqual([200, "/shop|1"]);
  const batch = [
    { ...event, id: "2" },
    { ...event, subject: "" },
  ];
  const { body } = await call("POST", "/v1/events", batch, {
    ...withKey(KEY),
    "content-type": "application/cloudevents-batch+json; charset=utf-8",
  });
  expect(body.accepted).toBe(1);
  expect(body.results[1]!.error).toMatchObject({ code: "invalid_request", path: "[1].subject" });
  expect(gateway.published).toMatchObject([
    { userId: "ann", ops: [{ body: { name: "order", properties: { amount: 3 } } }] },
    { id: "/shop|2" },
  ]);
});

test("503 and when to come again, where neither path takes an update", async () => {
  await startWithTenant();
  gateway.failWith(new KeylineError("publish_failed", "neither path took it", { retryable: true }));
  const { status, body, headers } = await call("POST", "/v1/track", track(1), withKey(KEY));
  expect([status, headers.get("retry-after"), body.error.code]).toEqual([503, "1", "publish_failed"]);
});

test("over quota is the tenant's 429 with Retry-After; others notice nothing, and a raise is live", async () => {
  await startWithTenant({ quotas: { updatesPerSecond: 500, burst: 1_000 } });
  await call("PUT", "/admin/tenants/other", { writeKeys: ["a-key-of-the-other"] }, asOperator);
  const batch = Array.from({ length: 1_000 }, (_, n) => track(n));
  expect((await call("POST", "/v1/batch", { batch }, withKey(KEY))).status).toBe(200);
  const { status, body, headers } = await call(
    "POST",
    "/v1/batch",
    { batch: batch.slice(0, 900) },
    withKey(KEY),
  );
  expect([status, body.error.code, headers.get("retry-after")]).toEqual([429, "over_quota", "2"]);
  expect(gateway.published).toHaveLength(1_000);
  expect((await call("POST", "/v1/track", track(1), withKey("a-key-of-the-other"))).status).toBe(200);
  await call("PUT", "/admin/tenants/shop", { quotas: {} }, asOperator);
  expect((await call("POST", "/v1/track", track(1), withKey(KEY))).status).toBe(200);
});

test("who sends far too much is refused, and the shared bucket is not asked each time", async () => {
  let asked = 0;
  const buckets = createMemoryRateStore({ maxBuckets: 10, now: () => NOW_MS });
  gateway = await startMemoryGateway({
    ...{ adminToken: `ann=${TOKEN}`, nowMs: NOW_MS },
    rateStore: {
      ...buckets,
      take(...args) {
        asked += 1;
        return buckets.take(...args);
      },
    },
  });
  const quotas = { updatesPerSecond: 1, burst: 1_000 };
  await call("PUT", "/admin/tenants/shop", { writeKeys: [KEY], quotas }, asOperator);
  const batch = Array.from({ length: 600 }, (_, n) => track(n));
  const statuses: number[] = [];
  for (let n = 0; n < 5; n += 1)
    statuses.push((await call("POST", "/v1/batch", { batch }, withKey(KEY))).status);
  expect(statuses).toEqual([200, 429, 429, 429, 429]);
  // Once a second, and for what is taken.
  expect(asked).toBeLessThan(5);
  const empty = await call("POST", "/v1/batch", { batch: [] }, withKey(KEY));
  expect(empty.status).toBe(400);
  expect((await call("POST", "/v1/track", track(1), withKey(KEY))).status).toBe(200);
});

const POINTS = [{ kind: "increment", body: { points: 1 } }];

test("bulk updates take their share of the tenant's rate, live ones all of it", async () => {
  await startWithTenant({ quotas: { updatesPerSecond: 2_000, burst: 4_000, bulkPercent: 25 } });
  const updates = (count: number, priority: string) =>
    Array.from({ length: count }, (_, n) => ({ userId: `u${n}`, priority, ops: POINTS }));
  const send = (count: number, priority: string) =>
    call("POST", "/v1/updates", { updates: updates(count, priority) }, withKey(KEY));
  expect((await send(1_000, "bulk")).status).toBe(200);
  const { status, body, headers } = await send(500, "bulk");
  expect([status, body.error.path, headers.get("retry-after")]).toEqual([429, "quotas.bulkPercent", "1"]);
  expect((await send(1_000, "live")).status).toBe(200);
});

test.each(["shared", "this gateway's own"])(
  "what the tenant's rate refuses costs nothing of bulk's share: %s buckets",
  async (whose) => {
    const buckets = createMemoryRateStore({ maxBuckets: 10, now: () => NOW_MS });
    const away = async () => {
      throw new KeylineError("store_unavailable", "away", { retryable: true });
    };
    const rateStore = whose === "shared" ? buckets : { ...buckets, take: away, giveBack: away };
    gateway = await startMemoryGateway({ adminToken: `ann=${TOKEN}`, nowMs: NOW_MS, rateStore });
    const quotas = { updatesPerSecond: 1, burst: 2_000, bulkPercent: 50 };
    await call("PUT", "/admin/tenants/shop", { writeKeys: [KEY], quotas }, asOperator);
    const send = (live: number, bulk: number) => {
      const updates = Array.from({ length: live + bulk }, (_, n) => ({
        ...{ userId: `u${n}`, ops: POINTS },
        ...(n < bulk ? { priority: "bulk" } : {}),
      }));
      return call("POST", "/v1/updates", { updates }, withKey(KEY));
    };
    expect((await send(1_000, 0)).status).toBe(200);
    expect((await send(300, 0)).status).toBe(200);
    // 700 are left, and of bulk's 1,000 all.
    const { status, body } = await send(100, 650);
    expect([status, body.error.path]).toEqual([429, "quotas.updatesPerSecond"]);
    expect((await send(0, 700)).status).toBe(200);
  },
);

test("every alias of an update counts, whatever stands before it", async () => {
  await startWithTenant({ quotas: { maxLinksPerUser: 2 } });
  const alias = (previousId: unknown) => ({
    kind: "event",
    body: { name: "$alias", properties: { previousId } },
  });
  const updates = [
    { userId: "ann", ops: [alias("1"), alias("2"), alias("3")] },
    { userId: "ben", ops: [alias("1"), alias("2")] },
    { userId: "ben", ops: [alias(null), alias("3")] },
  ];
  const { body } = await call("POST", "/v1/updates", { updates }, withKey(KEY));
  expect(body.results.map(({ error }) => error?.path)).toEqual([
    "updates[0].ops[2].body.properties.previousId",
    undefined,
    "updates[2].ops[1].body.properties.previousId",
  ]);
});

test("no more records are linked to one user than the tenant allows; the same again, and others, go on", async () => {
  await startWithTenant({ quotas: { maxLinksPerUser: 2 } });
  const alias = (userId: string, previousId: string) => ({ type: "alias", userId, previousId });
  const batch = [
    alias("ann", "1"),
    alias("ann", "2"),
    alias("ann", "3"),
    alias("ann", "1"),
    alias("ben", "3"),
  ];
  const { status, body } = await call("POST", "/v1/batch", { batch }, withKey(KEY));
  expect([status, body.accepted]).toEqual([200, 4]);
  expect(body.results[2]!.error).toMatchObject({
    ...{ code: "too_many_links", path: "batch[2].previousId", value: '"3"' },
    message: 'batch[2].previousId: "ann" has 2 linked records, as many as maxLinksPerUser allows',
  });
  const exact = {
    userId: "ann",
    ops: [{ kind: "event", body: { name: "$alias", properties: { previousId: "4" } } }],
  };
  const native = await call("POST", "/v1/updates", { updates: [exact] }, withKey(KEY));
  const wrong = { ...exact, userId: 7 };
  const beside = await call("POST", "/v1/updates", { updates: [wrong, exact] }, withKey(KEY));
  expect(beside.body.results.map(({ error }) => error.code)).toEqual(["invalid_update", "too_many_links"]);
  expect(native.body.results[0]!.error).toMatchObject({
    ...{ code: "too_many_links", path: "updates[0].ops[0].body.properties.previousId" },
  });
  await call("PUT", "/admin/tenants/shop", { quotas: { maxLinksPerUser: 3 } }, asOperator);
  expect((await call("POST", "/v1/alias", { userId: "ann", previousId: "3" }, withKey(KEY))).status).toBe(
    200,
  );
});

test("bulk updates have half of a gateway's room at most", async () => {
  await startWithTenant();
  const gate = Promise.withResolvers<void>();
  gateway.answerAfter(gate.promise);
  const updates = (count: number, priority: string) =>
    Array.from({ length: count }, (_, n) => ({ userId: `u${n}`, priority, ops: POINTS }));
  const send = (count: number, priority: string) =>
    call("POST", "/v1/updates", { updates: updates(count, priority) }, withKey(KEY));
  const first = send(700, "bulk");
  await expect.poll(() => gateway.published.length).toBe(700);
  expect((await send(100, "bulk")).body.error.code).toBe("publisher_full");
  const live = send(700, "live");
  await expect.poll(() => gateway.published.length).toBe(1_400);
  gate.resolve();
  expect([(await first).status, (await live).status]).toEqual([200, 200]);
});

test("while the buckets that all share can't be asked, a gateway goes by its own, and asks once a second", async () => {
  let asked = 0;
  gateway = await startMemoryGateway({
    ...{ adminToken: `ann=${TOKEN}`, nowMs: NOW_MS },
    rateStore: {
      async take() {
        asked += 1;
        throw new KeylineError("store_unavailable", "away", { retryable: true });
      },
      async giveBack() {},
      async close() {},
    },
  });
  const quotas = { updatesPerSecond: 500, burst: 1_000 };
  await call("PUT", "/admin/tenants/shop", { writeKeys: [KEY], quotas }, asOperator);
  const batch = Array.from({ length: 1_000 }, (_, n) => track(n));
  expect((await call("POST", "/v1/batch", { batch }, withKey(KEY))).status).toBe(200);
  expect((await call("POST", "/v1/batch", { batch }, withKey(KEY))).status).toBe(429);
  expect(asked).toBe(1);
});

test("an update larger than the tenant's quota is refused alone", async () => {
  await startWithTenant({ quotas: { maxUpdateBytes: 300 } });
  const long = { ...track(1), properties: { text: "x".repeat(400) } };
  const { body } = await call("POST", "/v1/batch", { batch: [long, track(2)] }, withKey(KEY));
  expect(body.accepted).toBe(1);
  expect(body.results[0]!.error).toMatchObject({
    ...{ code: "too_large", path: "batch[0]" },
    message: expect.stringMatching(/^batch\[0\]: the update is \d+ bytes long, more than the 300 of shop$/),
  });
});

test.each([
  ["/v1/batch", { batch: [track(1), track(2)] }, "batch[1]"],
  ["/v1/track", track(2), "body"],
  ["/v1/updates", { updates: [1, 2].map((n) => ({ userId: `u${n}`, ops: POINTS })) }, "updates[1]"],
])("what is too large for the publisher is told with its place: %s", async (path, request, place) => {
  await startWithTenant();
  gateway.failWith(new KeylineError("too_large", "the update is 300 bytes long", { value: 300 }));
  const { status, body } = await call("POST", path, request, withKey(KEY));
  expect([status, body.results.at(-1)!.error]).toMatchObject([
    413,
    { code: "too_large", path: place, value: "300", message: `${place}: the update is 300 bytes long` },
  ]);
});

test("the id that an alias links is bounded as a user's is", async () => {
  await startWithTenant();
  const alias = (length: number) => ({ userId: "ann", previousId: "x".repeat(length) });
  expect((await call("POST", "/v1/alias", alias(256), withKey(KEY))).status).toBe(200);
  const { status, body } = await call("POST", "/v1/alias", alias(257), withKey(KEY));
  expect([status, body.error]).toMatchObject([400, { code: "invalid_request", path: "previousId" }]);
  const exact = (length: number) => ({
    userId: "ann",
    ops: [{ kind: "event", body: { name: "$alias", properties: { previousId: "x".repeat(length) } } }],
  });
  const native = await call("POST", "/v1/updates", { updates: [exact(256), exact(257)] }, withKey(KEY));
  expect(native.body.results).toMatchObject([
    { path: "pulsar" },
    { error: { code: "invalid_update", path: "updates[1].ops[0].body.properties.previousId" } },
  ]);
});

test.each([null, true, {}, ["2026-11-28T10:00:00Z"]])(
  "%j as the time of an update is told of as what JSON could have there",
  async (at) => {
    await startWithTenant();
    const updates = [{ userId: "ann", at, ops: POINTS }];
    const { status, body } = await call("POST", "/v1/updates", { updates }, withKey(KEY));
    expect([status, body.error]).toMatchObject([
      400,
      {
        ...{ code: "invalid_update", path: "updates[0].at", value: JSON.stringify(at) },
        message: "updates[0].at: must be RFC 3339 or milliseconds since the epoch",
      },
    ]);
  },
);

test("what has no size, for a tenant with such a quota, is refused for what is wrong with it", async () => {
  await startWithTenant({ quotas: { maxUpdateBytes: 300 } });
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  const bytes = Buffer.from(`{"updates":[{"userId":"ann"},{"userId":"ann","ops":${deep}}]}`);
  const { status, body } = await call("POST", "/v1/updates", bytes, withKey(KEY));
  expect(status).toBe(400);
  expect(body.results.map(({ error }) => error.code)).toEqual(["invalid_update", "invalid_update"]);
});

test("keys are rotated without a gap, and are not kept", async () => {
  await startWithTenant();
  const { status, body: added } = await call("POST", "/admin/tenants/shop/write-keys", undefined, asOperator);
  expect(status).toBe(201);
  expect((await call("POST", "/v1/track", track(1), withKey(added.writeKey))).status).toBe(200);
  const { body: shown } = await call("GET", "/admin/tenants/shop", undefined, asOperator);
  expect(JSON.stringify(shown)).not.toContain(KEY);
  expect(shown.writeKeys.map(({ id }) => id)).toContain(added.id);
  const old = shown.writeKeys.find(({ id }) => id !== added.id)!;
  await call("DELETE", `/admin/tenants/shop/write-keys/${old.id}`, undefined, asOperator);
  expect((await call("POST", "/v1/track", track(2), withKey(KEY))).status).toBe(401);
  expect((await call("POST", "/v1/track", track(3), withKey(added.writeKey))).status).toBe(200);
});

test("a tenant has 16 write keys at most", async () => {
  await startWithTenant();
  const add = () => call("POST", "/admin/tenants/shop/write-keys", undefined, asOperator);
  for (let count = 1; count < 16; count += 1) expect((await add()).status).toBe(201);
  const { status, body } = await add();
  expect([status, body.error]).toMatchObject([409, { code: "write_keys_full", path: "writeKeys" }]);
  const { body: shown } = await call("GET", "/admin/tenants/shop", undefined, asOperator);
  expect(shown.writeKeys).toHaveLength(16);
});

test.each([
  [{ quotas: { updatesPerSecnd: 5 } }, "quotas.updatesPerSecnd", "updatesPerSecond, burst, bulkPercent"],
  [
    { quotas: { hotUsers: { updatesPerSecond: 5, over: "fold", one: 2 } } },
    "quotas.hotUsers.one",
    "updatesPerSecond, over, oneIn",
  ],
  [{ quota: {} }, "quota", "writeKeys, quotas"],
])(
  "a field of a tenant that is not known is told of with those that are known there: %j",
  async (body, path, known) => {
    await start();
    const { status, body: answered } = await call("PUT", "/admin/tenants/shop", body, asOperator);
    expect([status, answered.error]).toMatchObject([
      400,
      { path, message: expect.stringContaining(`${path}: is not known here; known: ${known}`) },
    ]);
  },
);

test("a tenant's settings are changed only where they are as its operator knows them, if a version says so", async () => {
  await startWithTenant();
  const put = (version?: number) =>
    call("PUT", "/admin/tenants/shop", { quotas: { burst: 2_000 }, version }, asOperator);
  const { version } = (await call("GET", "/admin/tenants/shop", undefined, asOperator)).body;
  const { body: listed } = await call("GET", "/admin/tenants", undefined, asOperator);
  expect(listed).toMatchObject({ tenants: [{ tenant: "shop", version }] });
  const changed = await put(version);
  expect([changed.status, changed.body.version > version]).toEqual([200, true]);
  const { status, body } = await put(version);
  expect([status, body.error]).toMatchObject([
    409,
    {
      ...{ code: "tenant_changed", path: "version", value: `${version}` },
      message: expect.stringContaining(`of version ${changed.body.version}, not ${version}`),
    },
  ]);
  expect((await put(0)).status).toBe(409);
  expect((await put()).status).toBe(200);
  await call("DELETE", "/admin/tenants/shop", undefined, asOperator);
  const gone = await put(version);
  expect([gone.status, gone.body.error]).toMatchObject([
    409,
    { message: expect.stringContaining(`there is no tenant shop, which is version 0, not ${version}`) },
  ]);
  expect((await put(0)).status).toBe(200);
});

test("one key is one tenant's", async () => {
  await startWithTenant();
  const { status, body } = await call("PUT", "/admin/tenants/other", { writeKeys: [KEY] }, asOperator);
  expect([status, body.error.code]).toEqual([409, "write_key_taken"]);
  expect((await call("GET", "/admin/tenants/other", undefined, asOperator)).status).toBe(404);
});

test("a tenant that is deleted sends no more, and tenants are operators' only", async () => {
  await startWithTenant();
  expect((await call("DELETE", "/admin/tenants/shop")).status).toBe(401);
  expect((await call("DELETE", "/admin/tenants/shop", undefined, asOperator)).status).toBe(204);
  expect((await call("POST", "/v1/track", track(1), withKey(KEY))).status).toBe(401);
  expect((await call("GET", "/admin/tenants", undefined, asOperator)).body).toEqual({ tenants: [] });
});

test("OpenAPI has every route, from the schemas that validate", async () => {
  await start();
  const { body } = await call("GET", "/openapi.json");
  expect(body.openapi).toBe("3.1.0");
  expect(Object.keys(body.paths)).toEqual(
    expect.arrayContaining([
      "/v1/batch",
      "/v1/track",
      "/v1/alias",
      "/v1/updates",
      "/v1/events",
      "/admin/tenants/{tenant}",
    ]),
  );
});

test("closing waits neither for a connection that is kept alive nor for a body that does not come", async () => {
  await start();
  const server = await createHttpServer({ log, title: "test", part: "test", finishWithinMs: 500 });
  const answered = Promise.withResolvers<void>();
  const cameIn = Promise.withResolvers<void>();
  server.get("/slow", async () => {
    cameIn.resolve();
    await answered.promise;
    return "done";
  });
  server.post("/", async () => "never");
  server.addHook("preClose", async () => answered.resolve());
  const url = new URL(await server.listen({ host: "127.0.0.1", port: 0 }));
  const slow = connect(Number(url.port), url.hostname).on("error", () => {});
  slow.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
  const agent = new Agent({ keepAlive: true });
  const response = once(request(new URL("/slow", url), { agent }).end(), "response");
  await cameIn.promise;
  const closed = server.close();
  const [{ statusCode, headers }] = await response;
  expect([statusCode, headers.connection]).toEqual([200, "close"]);
  await closed;
  agent.destroy();
});

test("a store that lost its last change and went on is followed, and one that lost all ends nobody's key", async () => {
  await start();
  let current = createMemoryDocumentStore({ maxEntries: 10 });
  const shop = (key: string) => JSON.stringify({ writeKeys: [{ id: key, hash: hashOf(key) }], quotas: {} });
  await current.replace("shop", 0, { version: 1, document: shop("lost") });
  const store: Pick<DocumentStore, "revision" | "changedAfter"> = {
    revision: () => current.revision(),
    changedAfter: (revision) => current.changedAfter(revision),
  };
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const registry = startTenantRegistry({ store, onChange: () => {}, onError, lookAtAllEveryMs: 0 });
  await registry.refresh();
  expect(registry.byWriteKey("lost")?.name).toBe("shop");
  current = createMemoryDocumentStore({ maxEntries: 10 });
  await registry.refresh();
  expect(errors[0]).toMatchObject({ code: "tenants_lost" });
  expect(registry.byWriteKey("lost")?.name).toBe("shop");
  await current.replace("shop", 0, { version: 2, document: shop("kept") });
  expect(await current.revision(), "nothing to be seen of it").toBe(1);
  await registry.refresh();
  expect([registry.byWriteKey("lost"), registry.byWriteKey("kept")?.name]).toEqual([undefined, "shop"]);
  await registry.close();
});

test("a change that is made is told, though this gateway can't look for it", async () => {
  await start();
  const store = createMemoryDocumentStore({ maxEntries: 10 });
  const registry = {
    byHash: () => undefined,
    refresh: async () => {
      throw new KeylineError("store_unavailable", "away", { retryable: true });
    },
  };
  await store.replace("shop", 0, { version: 1, document: JSON.stringify({ writeKeys: [], quotas: {} }) });
  const { id } = await createTenantCatalog({ store, registry, now: () => NOW_MS }).addKey("shop");
  expect((await store.read("shop")).document).toContain(id);
});

test("a publisher that is closed is no fault of an update's: it may be sent again", async () => {
  await start();
  const publisher = createPublisher({
    ...{ maxPending: { pulsar: 1, sqs: 1 }, tail: { add() {}, resent: () => 0 }, now: Date.now },
    ...{ primary: {}, fallback: {} },
  } as unknown as PublisherOptions);
  await publisher.close();
  const failure = await publisher
    .publish({ tenant: "shop", userId: "ann", ops: [{ kind: "unset", body: ["plan"] }] })
    .then(() => undefined)
    .catch((error: KeylineError) => error);
  gateway.failWith(failure);
  await call("PUT", "/admin/tenants/shop", { writeKeys: [KEY] }, asOperator);
  const { status, body } = await call("POST", "/v1/track", track(1), withKey(KEY));
  expect([status, body.error.code]).toEqual([503, "publisher_closed"]);
});

test("a batch that the publisher has no room for now is refused whole", async () => {
  await startWithTenant();
  const { promise, resolve } = Promise.withResolvers<void>();
  gateway.answerAfter(promise);
  const batch = Array.from({ length: 1_000 }, (_, n) => track(n));
  const first = call("POST", "/v1/batch", { batch }, withKey(KEY));
  await until("the first is under way", () => gateway.published.length === 1_000);
  const { status, body, headers } = await call("POST", "/v1/batch", { batch }, withKey(KEY));
  expect([status, body.error.code, headers.get("retry-after")]).toEqual([503, "publisher_full", "1"]);
  expect(gateway.published).toHaveLength(1_000);
  resolve();
  expect((await first).status).toBe(200);
  expect((await call("POST", "/v1/batch", { batch }, withKey(KEY))).status).toBe(200);
});

test("one tenant has half of the room at most while others send", async () => {
  await startWithTenant();
  const other = "a-key-of-the-other";
  await call("PUT", "/admin/tenants/other", { writeKeys: [other] }, asOperator);
  const { promise, resolve } = Promise.withResolvers<void>();
  gateway.answerAfter(promise);
  const calls = (count: number) => ({ batch: Array.from({ length: count }, (_, n) => track(n)) });
  const first = call("POST", "/v1/batch", calls(700), withKey(KEY));
  await until("the first is under way", () => gateway.published.length === 700);
  const second = call("POST", "/v1/track", track(1), withKey(other));
  await until("the other is under way", () => gateway.published.length === 701);
  // 1,500 have room here.
  expect((await call("POST", "/v1/batch", calls(100), withKey(KEY))).status).toBe(503);
  const third = call("POST", "/v1/batch", calls(700), withKey(other));
  await until("more of the other is under way", () => gateway.published.length === 1_401);
  resolve();
  expect([await first, await second, await third].map(({ status }) => status)).toEqual([200, 200, 200]);
});

test.each(["{}", "no JSON", "null"])("a tenant whose settings are %s stops no other", async (document) => {
  await start();
  const store = createMemoryDocumentStore({ maxEntries: 10 });
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const registry = startTenantRegistry({ store, onChange: () => {}, onError });
  await store.replace("broken", 0, { version: 1, document });
  await createTenantCatalog({ store, registry, now: () => NOW_MS }).put("shop", { writeKeys: [KEY] });
  expect(registry.byWriteKey(KEY)?.name).toBe("shop");
  expect(errors[0]).toMatchObject({ code: "tenant_unreadable", path: "broken" });
  await registry.close();
});
