import { afterEach, beforeEach, expect, test } from "vitest";
import { type MemoryGateway, startMemoryGateway } from "../support/memory-gateway.ts";

const NOW_MS = Date.UTC(2026, 10, 29);
const TOKEN = "operators-token";
const KEY = "a-key-of-the-shop";

let gateway: MemoryGateway;

beforeEach(async () => {
  gateway = await startMemoryGateway({ adminToken: `ann=${TOKEN}`, nowMs: NOW_MS });
  await quotas({});
});
afterEach(() => gateway.close());

// biome-ignore lint/suspicious/noExplicitAny: what is looked at of any answer
type Answer = { status: number; body: any };

async function call(method: string, path: string, body: unknown, token: string): Promise<Answer> {
  const type = path === "/v1/events" ? "application/cloudevents+json" : "application/json";
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": type }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

const asOperator = (method: string, path: string, body?: unknown) =>
  call(method, `/admin/tenants/shop${path}`, body, TOKEN);
const quotas = (quotas: object) => asOperator("PUT", "", { writeKeys: [KEY], quotas });
const declare = async (schema: object) => {
  const answer = await asOperator("PUT", "/schema", schema);
  expect(answer).toMatchObject({ status: 200 });
  return answer.body;
};
const schema = async () => (await asOperator("GET", "/schema")).body;
const send = (path: string, body: unknown) => call("POST", path, body, KEY);
const track = (event: string, properties: object) => ({ type: "track", userId: "ann", event, properties });
const batch = (...calls: object[]) => send("/v1/batch", { batch: calls });
const update = (...ops: object[]) => send("/v1/updates", { updates: [{ userId: "ann", ops }] });
const codes = ({ body }: Answer) =>
  body.results.map(({ error }: { error?: { code: string; path: string } }) =>
    error ? [error.code, error.path] : "taken",
  );

const ORDERS = {
  events: { order_completed: { properties: { amount: { type: "number" }, note: { type: "any" } } } },
  attributes: {
    plan: { kind: "register", type: "string" },
    points: { kind: "counter" },
    tags: { kind: "set" },
  },
};

test("what comes is learned with its type, and nothing is refused for it", async () => {
  await batch(
    track("order_completed", { amount: 29.5, items: ["a"], coupon: null, gift: false, address: {} }),
    track("order_completed", { amount: "29.5" }),
    { type: "identify", userId: "ann", traits: { plan: "pro", old: null } },
  );
  const answer = await update(
    { kind: "increment", body: { points: 1 } },
    { kind: "add", body: { tags: ["new"] } },
    { kind: "increment", body: { plan: 1 } },
  );
  expect(answer.status).toBe(200);
  expect(gateway.published).toHaveLength(4);
  const { mode, unknown, events, attributes, problems } = await schema();
  expect({ mode, unknown }).toEqual({ mode: "allow", unknown: "learn" });
  expect(events.order_completed).toEqual({
    origin: "learned",
    properties: {
      amount: { type: "number", origin: "learned" },
      items: { type: "array", origin: "learned" },
      gift: { type: "boolean", origin: "learned" },
      address: { type: "object", origin: "learned" },
    },
  });
  expect(attributes).toEqual({
    plan: { kind: "register", type: "string", origin: "learned" },
    points: { kind: "counter", origin: "learned" },
    tags: { kind: "set", origin: "learned" },
  });
  expect(problems).toEqual({ warned: 0, dropped: 0, rejected: 0, overQuota: 0 });
});

test("a type that changes is refused with both types named, where its caller wrote it, and costs no other", async () => {
  await declare({ ...ORDERS, mode: "reject" });
  const answer = await batch(
    track("order_completed", { amount: 1 }),
    track("order_completed", { amount: "29.5" }),
    { type: "identify", userId: "ann", traits: { plan: 5 } },
  );
  expect(answer).toMatchObject({ status: 200, body: { accepted: 1 } });
  expect(answer.body.results[1].error).toEqual({
    code: "schema_mismatch",
    message: "batch[1].properties.amount: is a string, but amount of order_completed is a number",
    path: "batch[1].properties.amount",
    value: '"29.5"',
  });
  expect(answer.body.results[2].error).toMatchObject({
    message: "batch[2].traits.plan: is a number, but plan is a string",
  });
  expect(gateway.published).toHaveLength(1);
  expect((await schema()).problems).toMatchObject({ rejected: 2 });
});

test("null fits every type, and any value fits what is declared as any", async () => {
  await declare({ ...ORDERS, mode: "reject", unknown: "reject" });
  const answer = await batch(
    track("order_completed", { amount: null, note: "x" }),
    track("order_completed", { note: [1] }),
    { type: "identify", userId: "ann", traits: { plan: null } },
  );
  expect(codes(answer)).toEqual(["taken", "taken", "taken"]);
});

test("an attribute has one kind: another kind of operation on it is refused with both kinds named", async () => {
  await declare({ ...ORDERS, mode: "reject" });
  const answer = await update({ kind: "unset", body: ["plan"] }, { kind: "set", body: { points: 5 } });
  expect(answer.status).toBe(400);
  expect(answer.body.error).toMatchObject({
    code: "schema_mismatch",
    path: "updates[0].ops[1].body.points",
    message: expect.stringContaining("is a register here, but points is a counter"),
  });
  expect(codes(await update({ kind: "unset", body: ["plan", "tags"] }))).toEqual([
    ["schema_mismatch", "updates[0].ops[0].body[1]"],
  ]);
});

test.each([
  ["/v1/track", track("seen", {}), "event"],
  ["/v1/track", track("order_completed", { name: 1, "7": 1 }), "properties[7]"],
  ["/v1/track", { ...track("order_completed", { name: 1 }), name: "of no meaning here" }, "properties.name"],
  ["/v1/page", { userId: "ann", name: "Home", properties: { "a.b": 1 } }, "properties.a.b"],
  ["/v1/group", { userId: "ann", groupId: "g", traits: { size: 5 } }, "traits.size"],
  ["/v1/identify", { userId: "ann", traits: { plan: "pro", gone: null } }, "traits.gone"],
  ["/v1/events", { data: { size: 5 } }, "data.size"],
  ["/v1/events", { data: 5 }, "data"],
  ["/v1/events", { type: "seen" }, "type"],
])("a name that is not in the schema is told by its place in a %s", async (path, body, place) => {
  await declare({ ...ORDERS, unknown: "reject" });
  const cloudEvent = { specversion: "1.0", id: "1", source: "/", type: "order_completed", subject: "ann" };
  const answer = await send(path, path === "/v1/events" ? { ...cloudEvent, ...body } : body);
  expect([answer.status, answer.body.error]).toMatchObject([400, { code: "not_in_schema", path: place }]);
  expect(gateway.published).toEqual([]);
});

test("what the gateway itself makes of calls is in every schema", async () => {
  await declare({ ...ORDERS, mode: "reject", unknown: "reject" });
  for (const call of [
    { type: "page", name: "Home", category: "Start" },
    { type: "screen", name: "Home" },
    { type: "group", groupId: "g-1" },
    { type: "alias", previousId: "before" },
    { type: "identify", traits: {} },
  ])
    expect(codes(await batch({ userId: "ann", ...call }))).toEqual(["taken"]);
  expect((await schema()).events.$group).toEqual({
    origin: "built-in",
    properties: { groupId: { type: "string", origin: "built-in" } },
  });
  const wrong = await batch({ type: "page", userId: "ann", properties: { name: 5 } });
  expect(codes(wrong)).toEqual([["schema_mismatch", "batch[0].properties.name"]]);
});

test("what is dropped is dropped alone, and an update of which nothing is left is refused", async () => {
  await declare({ ...ORDERS, mode: "drop", unknown: "drop" });
  const answer = await update(
    { kind: "event", body: { name: "order_completed", properties: { amount: "x", note: 1, new: 1 } } },
    { kind: "set", body: { points: 1 } },
    { kind: "set", body: { plan: "pro", points: 1 } },
    { kind: "event", body: { name: "seen", properties: { amount: 1 } } },
    { kind: "unset", body: ["gone", "plan"] },
    { kind: "add", body: { tags: ["a"] } },
  );
  expect(answer.status).toBe(200);
  expect(gateway.published[0]!.ops).toEqual([
    { kind: "event", body: { name: "order_completed", properties: { note: 1 } } },
    { kind: "set", body: { plan: "pro" } },
    { kind: "unset", body: ["plan"] },
    { kind: "add", body: { tags: ["a"] } },
  ]);
  const empty = await update({ kind: "set", body: { points: 1 } });
  expect([empty.status, empty.body.error]).toMatchObject([400, { code: "schema_mismatch" }]);
  expect(empty.body.error.message).toContain("nothing is left of the update");
  expect((await schema()).problems).toEqual({ warned: 0, dropped: 6, rejected: 1, overQuota: 0 });
});

test("what is warned of is taken and counted, and a new name is not learned", async () => {
  await declare({ ...ORDERS, mode: "warn", unknown: "warn" });
  const answer = await batch(
    track("order_completed", { amount: "x", size: 1 }),
    track("seen", { a: 1, b: 2 }),
  );
  expect(answer.body.accepted).toBe(2);
  expect(gateway.published[0]!.ops[0]).toMatchObject({ body: { properties: { amount: "x", size: 1 } } });
  const { events, problems } = await schema();
  expect(Object.keys(events)).not.toContain("seen");
  expect(events.order_completed.properties).not.toHaveProperty("size");
  expect(problems).toMatchObject({ warned: 3 });
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toContain('keyline_gateway_schema_problems_total{tenant="shop",result="warned"} 3');
});

test("an event may have a mode of its own", async () => {
  await declare({
    mode: "reject",
    events: {
      strict: { properties: { a: { type: "number" } } },
      loose: { mode: "allow", properties: { a: { type: "number" } } },
    },
  });
  const answer = await batch(track("strict", { a: "x" }), track("loose", { a: "x" }));
  expect(codes(answer)).toEqual([["schema_mismatch", "batch[0].properties.a"], "taken"]);
});

test("within one request the first that comes says what a name is", async () => {
  await declare({ mode: "reject" });
  const answer = await batch(track("seen", { a: 1 }), track("seen", { a: "x" }));
  expect(codes(answer)).toEqual(["taken", ["schema_mismatch", "batch[1].properties.a"]]);
  const seen = (properties: object, name = "seen") => ({ kind: "event", body: { name, properties } });
  const set = (plan: unknown) => ({ kind: "set", body: { plan } });
  for (const [ops, path] of [
    [[seen({ a: 1 }, "left"), seen({ a: "x" }, "left")], "properties.a"],
    [[seen({ b: 1 }), seen({ b: "x" })], "properties.b"],
    [[set("pro"), set(5)], "plan"],
  ] as const)
    expect(codes(await update(...ops))).toEqual([["schema_mismatch", `updates[0].ops[1].body.${path}`]]);
  const { events, attributes } = await schema();
  expect([Object.keys(events), attributes], "a refused update teaches nothing").toEqual([
    expect.not.arrayContaining(["left"]),
    {},
  ]);
});

test("an update that is none teaches nothing, and is told as ever", async () => {
  const answer = await update(
    { kind: "set", body: { plan: "pro" } },
    { kind: "increment", body: { points: "5" } },
  );
  expect(codes(answer)).toEqual([["invalid_update", "updates[0].ops[1].body.points"]]);
  expect((await schema()).attributes).toEqual({});
  await declare({ ...ORDERS, mode: "drop" });
  const dropped = await update(
    { kind: "set", body: { points: 1 } },
    { kind: "increment", body: { points: "5" } },
  );
  expect(codes(dropped)).toEqual([["invalid_update", "updates[0].ops[1].body.points"]]);
});

test.each([
  [{ maxEventNames: 1 }, [track("first", {}), track("second", {})], "batch[1].event"],
  [
    { maxPropertiesPerEvent: 2 },
    [track("first", { a: 1, b: 1 }), track("first", { c: 1 })],
    "batch[1].properties.c",
  ],
  [
    { maxAttributes: 1 },
    [
      { type: "identify", userId: "ann", traits: { plan: "pro" } },
      { type: "identify", userId: "ann", traits: { city: "Rome" } },
    ],
    "batch[1].traits.city",
  ],
])(
  "one name more than the quota %j allows is refused, and what is known goes on",
  async (quota, calls, path) => {
    await quotas(quota);
    const answer = await batch(...calls);
    expect(codes(answer)).toEqual(["taken", ["quota_exceeded", path]]);
    const [name] = Object.keys(quota);
    expect(answer.body.results[1].error.message).toContain(`the tenant's quota ${name}`);
    expect(codes(await batch(calls[0]!))).toEqual(["taken"]);
    expect((await schema()).problems).toMatchObject({ overQuota: 1 });
    // Limits change live.
    await quotas({});
    expect(codes(await batch(calls[1]!))).toEqual(["taken"]);
  },
);

test("a quota holds within one update, too", async () => {
  await quotas({ maxAttributes: 1, maxEventNames: 1, maxPropertiesPerEvent: 1 });
  const seen = (properties: object, name = "seen") => ({ kind: "event", body: { name, properties } });
  for (const [ops, path] of [
    [[{ kind: "set", body: { plan: "pro", city: "Rome" } }], "ops[0].body.city"],
    [[seen({}), seen({}, "left")], "ops[1].body.name"],
    [[seen({ a: 1, b: 1 })], "ops[0].body.properties.b"],
  ] as const)
    expect(codes(await update(...ops))).toEqual([["quota_exceeded", `updates[0].${path}`]]);
  await update(seen({}));
  expect(codes(await update(seen({ a: 1 }), seen({ b: 1 })))).toEqual([
    ["quota_exceeded", "updates[0].ops[1].body.properties.b"],
  ]);
});

test("quotas do not count what the gateway makes itself, and are the tenant's alone", async () => {
  await quotas({ maxEventNames: 1 });
  const calls = [
    { type: "page", userId: "ann" },
    { type: "identify", userId: "ann", traits: {} },
  ];
  expect(codes(await batch(...calls, track("first", {})))).toEqual(["taken", "taken", "taken"]);
  const other = "a-key-of-the-other";
  await call("PUT", "/admin/tenants/other", { writeKeys: [other] }, TOKEN);
  await batch(track("second", {}));
  expect((await call("POST", "/v1/batch", { batch: [track("second", {})] }, other)).status).toBe(200);
});

test("what is declared replaces what was declared; what was learned stays until it is to be forgotten", async () => {
  await declare(ORDERS);
  await batch(track("order_completed", { amount: 1, size: 1 }), track("seen", { a: 1 }));
  await schema();
  const after = await declare({ attributes: { plan: { kind: "register" } } });
  expect(after.attributes).toEqual({ plan: { kind: "register", type: "any", origin: "declared" } });
  await expect
    .poll(async () => (await schema()).events)
    .toMatchObject({
      order_completed: { origin: "learned", properties: { size: { type: "number", origin: "learned" } } },
      seen: { origin: "learned", properties: { a: { type: "number", origin: "learned" } } },
    });
  const forgotten = await declare({ learned: "forget", events: { seen: { properties: {} } } });
  expect(Object.keys(forgotten.events).filter((name) => !name.startsWith("$"))).toEqual(["seen"]);
  expect((await schema()).events.seen).toEqual({ origin: "declared", properties: {} });
  expect((await asOperator("DELETE", "/schema")).status).toBe(204);
  expect(await schema()).toMatchObject({ mode: "allow", attributes: {} });
});

test.each([
  [{ mode: "refuse" }, "mode"],
  [{ events: { seen: { properties: { a: { type: "text" } } } } }, "events.seen.properties.a.type"],
  [{ attributes: { points: { kind: "counter", type: "number" } } }, "attributes.points.type"],
  [{ attributes: { $x: { kind: "counter" } } }, "attributes"],
  [{ events: { seen: { fields: {} } } }, "events.seen.fields"],
])("a schema that is none is refused with its place: %j", async (body, path) => {
  const answer = await asOperator("PUT", "/schema", body);
  expect([answer.status, answer.body.error.code]).toEqual([400, "invalid_request"]);
  expect(answer.body.error.path).toContain(path);
});

test("schemas are operators' only, and of tenants that there are", async () => {
  expect((await call("GET", "/admin/tenants/shop/schema", undefined, KEY)).status).toBe(401);
  expect((await call("PUT", "/admin/tenants/shop/schema", {}, KEY)).status).toBe(401);
  const nobody = await call("PUT", "/admin/tenants/nobody/schema", {}, TOKEN);
  expect([nobody.status, nobody.body.error.code]).toEqual([404, "tenant_not_found"]);
  const { body } = await call("GET", "/openapi.json", undefined, TOKEN);
  expect(Object.keys(body.paths["/admin/tenants/{tenant}/schema"])).toEqual(["get", "put", "delete"]);
});
