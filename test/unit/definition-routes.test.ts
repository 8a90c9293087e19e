import { pino } from "pino";
import { Check } from "typebox/value";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AllDefinitions, AudienceView } from "../../services/audience-update/admin/definition-schema.ts";
import { aggregateNames } from "../../shared/domain/definitions/definition.ts";
import { ADMIN, type DefinitionServer, READER, startDefinitionServer } from "../support/definition-server.ts";
import { until } from "../support/until.ts";

let shop: DefinitionServer;
beforeEach(async () => {
  shop = await startDefinitionServer();
});
afterEach(() => shop.close());

const base = "/v1/tenants/shop";
const orders = { event: "order_completed", aggregate: "count" };

test("an audience says what it reads, by what that is, and is served since its creation", async () => {
  const beganMs = Date.now();
  const attribute = await shop.call("PUT", `${base}/attributes/orders`, orders);
  expect(attribute.body.version).toBeGreaterThanOrEqual(beganMs);
  const { status, body } = await shop.call("PUT", `${base}/audiences/regulars`, {
    rule: "orders >= 3 && 'vip' in tags",
  });
  expect(status).toBe(201);
  expect(body).toMatchObject({
    ...{ name: "regulars", kind: "audience", generation: body.version, complete: false, enabled: true },
    type: "bool",
    reads: { calculated: ["orders"], audiences: [], profile: ["tags"] },
  });
  expect(body.version).toBeGreaterThan(attribute.body.version);
  expect(Date.parse(body.since)).toBeGreaterThan(Date.now());
  expect(Check(AudienceView, body)).toBe(true);
  expect((await shop.call("GET", `${base}/audiences/regulars`)).body).toEqual(body);
  expect((await shop.call("GET", `${base}/attributes/orders`)).body).toMatchObject({ type: "int" });
  expect((await shop.call("GET", `${base}/attributes`)).body.attributes).toHaveLength(1);
});

test("what is the same makes no new version", async () => {
  const { version } = (await shop.call("PUT", `${base}/attributes/orders`, orders)).body;
  const again = await shop.call("PUT", `${base}/attributes/orders`, { ...orders, enabled: true });
  expect(again.body.version).toBe(version);
  expect((await shop.call("PUT", `${base}/attributes/orders`, orders)).status).toBe(200);
  expect((await shop.definitionStore.read("shop")).version).toBe(version);
});

test("a problem says where it is", async () => {
  const { status, body } = await shop.call("PUT", `${base}/audiences/odd`, { rule: "1 + true" });
  expect(status).toBe(400);
  expect(body.error).toMatchObject({
    ...{ code: "invalid_definition", path: "audiences.odd.rule", value: '"1 + true"' },
    position: { start: 0 },
  });
  expect((await shop.call("PUT", `${base}/audiences/Odd`, { rule: "true" })).body.error.path).toBe(
    "audiences.Odd",
  );
  const cycle = await shop.call("PUT", `${base}/attributes/a`, { derive: "a + 1" });
  expect([cycle.status, cycle.body.error.code]).toEqual([400, "definition_cycle"]);
});

test("of what is missing there is no value", async () => {
  const errors = await Promise.all([
    shop.call("PUT", `${base}/attributes/x`, { event: "order_completed" }),
    shop.call("PUT", `${base}/attributes/x`),
    shop.call("PUT", `${base}/definitions`, { attributes: {} }),
    shop.call("PUT", `${base}/definitions`),
    shop.call("GET", `${base}/users:batch`),
    shop.call("GET", `${base}/users/ada/explain`),
  ]);
  expect(errors.map(({ status, body }) => [status, body.error.path, "value" in body.error])).toEqual(
    ["attributes.x.aggregate", "attributes.x", "audiences", "definitions", "ids", "audience"].map((path) => [
      400,
      path,
      false,
    ]),
  );
});

test("an unknown aggregate is answered with those that there are", async () => {
  const { status, body } = await shop.call("PUT", `${base}/attributes/x`, { ...orders, aggregate: "median" });
  expect([status, body.error]).toEqual([
    400,
    {
      ...{ code: "invalid_definition", path: "attributes.x.aggregate", value: '"median"' },
      message: `attributes.x.aggregate: must be one of ${aggregateNames.join(", ")}`,
    },
  ]);
});

test("all expressions of a tenant together have a length", async () => {
  const rule = `plan == '${"x".repeat(4_000)}'`;
  const audiences = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`a${i}`, { rule }]));
  const { status, body } = await shop.call("PUT", `${base}/definitions`, { attributes: {}, audiences });
  expect(status).toBe(400);
  expect(body.error).toMatchObject({
    code: "definitions_too_large",
    value: String(250 * rule.length),
    message: expect.stringContaining("at most 1000000 characters"),
  });
  const { a0: _, ...fewer } = audiences;
  const shorter = { attributes: {}, audiences: fewer };
  expect((await shop.call("PUT", `${base}/definitions`, shorter)).status).toBe(200);
});

test("what a profile can't hold is refused, and what was saved with a larger bound is served and may shrink", async () => {
  const list = (limit: number) => ({ event: "order_completed", aggregate: "list", of: "item", limit });
  await shop.call("PUT", `${base}/attributes/items`, list(50));
  const small = await startDefinitionServer({
    ...{ definitionStore: shop.definitionStore, maxStateLength: 5_000 },
  });
  try {
    await small.watch.refresh();
    expect(small.watch.of("shop").stateLength).toBeGreaterThan(5_000);
    const grown = await small.call("PUT", `${base}/attributes/items`, list(51));
    expect(grown.status).toBe(400);
    expect(grown.body.error).toMatchObject({
      code: "definitions_too_large",
      message: expect.stringContaining("half of MAX_PROFILE_LENGTH"),
    });
    expect((await small.call("PUT", `${base}/audiences/some`, { rule: "size(items) > 1" })).status).toBe(201);
    expect((await small.call("PUT", `${base}/attributes/items`, list(49))).status).toBe(200);
    expect((await shop.call("PUT", `${base}/attributes/items`, list(51))).status).toBe(200);
  } finally {
    await small.close();
  }
});

const disabled = <D extends object>(definition: D) => ({ ...definition, enabled: false });

test.each<[string, string, object, string]>([
  ["no CEL", "audiences/some", { rule: "orders >" }, "audiences.some.rule"],
  ["a time without a bound", "audiences/some", { rule: "plan.matches('a+')" }, "audiences.some.rule"],
  ["types that don't go together", "audiences/some", { rule: "orders == 'x'" }, "audiences.some.rule"],
  ["types of what is disabled too", "audiences/some", { rule: "tier > 1" }, "audiences.some.rule"],
  ["no bool", "audiences/some", { rule: "orders + 1" }, "audiences.some.rule"],
  ["now where it stands alone", "audiences/some", { rule: "now == timestamp(x)" }, "audiences.some.rule"],
  ["a derived list", "attributes/a", { derive: "[1]" }, "attributes.a.derive"],
  ["an attribute of an audience", "attributes/a", { derive: "off ? 1 : 2" }, "attributes.a.derive"],
  ["a condition over a name", "attributes/a", { ...orders, where: "plan == 'x'" }, "attributes.a.where"],
  ["a window of days_since", "attributes/a", { event: "e", aggregate: "days_since", window: "1d" }, ""],
])("%s is refused where it is disabled too", async (_, path, definition, at) => {
  await shop.call("PUT", `${base}/definitions`, {
    attributes: { orders: disabled(orders), tier: disabled({ derive: "orders > 1 ? 'a' : 'b'" }) },
    audiences: { off: disabled({ rule: "tier == 'a'" }) },
  });
  const { status, body } = await shop.call("PUT", `${base}/${path}`, disabled(definition));
  expect(status).toBe(400);
  expect(body.error).toMatchObject({ code: "invalid_definition", path: expect.stringContaining(at) });
});

test("what is disabled may read what is disabled, and is in the way of nothing that is saved later", async () => {
  await shop.call("PUT", `${base}/attributes/orders`, disabled(orders));
  const some = await shop.call("PUT", `${base}/audiences/some`, disabled({ rule: "orders > 1 && !other" }));
  expect(some.status).toBe(201);
  const other = await shop.call("PUT", `${base}/audiences/other`, { rule: "orders > 1" });
  expect(other.status).toBe(400);
  expect(other.body.error.message).toContain("orders is disabled");
  const list = { event: "order_completed", aggregate: "list", of: "item" };
  expect((await shop.call("PUT", `${base}/attributes/orders`, list)).status).toBe(200);
  const enabled = await shop.call("PUT", `${base}/audiences/some`, { rule: "orders > 1 && !other" });
  expect(enabled.status).toBe(400);
});

test("what is read can neither be deleted nor disabled, and its readers are named", async () => {
  await shop.call("PUT", `${base}/attributes/orders`, orders);
  await shop.call("PUT", `${base}/audiences/some`, { rule: "orders > 0" });
  const deleted = await shop.call("DELETE", `${base}/attributes/orders`);
  expect(deleted.status).toBe(409);
  expect(deleted.body.error).toMatchObject({
    code: "definition_in_use",
    message: expect.stringContaining("audiences.some reads it"),
    usedBy: ["audiences.some"],
  });
  const disabled = await shop.call("PUT", `${base}/attributes/orders`, { ...orders, enabled: false });
  expect(disabled.status).toBe(409);
  await shop.call("DELETE", `${base}/audiences/some`);
  expect((await shop.call("DELETE", `${base}/attributes/orders`)).body).toEqual({
    tenant: "shop",
    version: (await shop.definitionStore.read("shop")).version,
  });
  expect((await shop.call("DELETE", `${base}/attributes/orders`)).status).toBe(404);
});

test("a whole set is put in one step, and a dry run says what would change", async () => {
  const set = { attributes: { orders }, audiences: { some: { rule: "orders > 0" } } };
  const dry = await shop.call("PUT", `${base}/definitions?dryRun=true`, set);
  expect(dry.body).toMatchObject({
    dryRun: true,
    version: 0,
    added: ["attributes.orders", "audiences.some"],
  });
  expect((await shop.definitionStore.read("shop")).version).toBe(0);
  const { version } = (await shop.call("PUT", `${base}/definitions`, set)).body;
  const wrong = { ...set, audiences: { some: { rule: "orders > " } } };
  expect((await shop.call("PUT", `${base}/definitions`, wrong)).status).toBe(400);
  await until("the consumer says which version it has", async () => {
    const { body } = await shop.call("GET", `${base}/definitions`);
    expect(Check(AllDefinitions, body)).toBe(true);
    return body.version === version && body.consumers[0]?.upToDate === true;
  });
});

test.each([
  ["attributes", { audiences: {} }, "is required"],
  ["audiences", { attributes: {} }, "is required"],
  ["definitions", [], "must be object"],
])("a whole set without %s is refused, and nothing is deleted", async (path, set, message) => {
  await shop.call("PUT", `${base}/attributes/orders`, orders);
  const { status, body } = await shop.call("PUT", `${base}/definitions`, set);
  expect([status, body.error]).toMatchObject([
    400,
    { code: "invalid_definition", path, message: `${path}: ${message}` },
  ]);
  expect((await shop.call("GET", `${base}/attributes`)).body.attributes).toHaveLength(1);
  const { removed } = (await shop.call("PUT", `${base}/definitions`, { attributes: {}, audiences: {} })).body;
  expect(removed).toEqual(["attributes.orders"]);
});

test("members of a version that is over are dropped", async () => {
  const { version } = (await shop.call("PUT", `${base}/audiences/all`, { rule: "true" })).body;
  const of = { tenant: "shop", audience: "all", version };
  await shop.memberStore.record([{ ...of, userId: "ada", number: 1 }]);
  await shop.call("PUT", `${base}/audiences/all`, { rule: "false" });
  await until("they are dropped", async () => (await shop.memberStore.count(of)) === 0);
});

test("writers that race both get in", async () => {
  const names = ["a", "b", "c", "d"];
  const written = await Promise.all(
    names.map((name) => shop.call("PUT", `${base}/attributes/${name}`, orders)),
  );
  const { body } = await shop.call("GET", `${base}/definitions`);
  expect(body.attributes.map(({ name }: { name: string }) => name)).toEqual(names);
  const versions = written.map((each) => each.body.version);
  expect(new Set(versions).size).toBe(4);
  expect(body.version).toBe(Math.max(...versions));
});

test("a reader may read and not write, nobody neither", async () => {
  const statuses = async (authorization: string) => {
    const headers = { authorization };
    const read = await shop.server.inject({ url: `${base}/definitions`, headers });
    const url = `${base}/attributes/orders`;
    const written = await shop.server.inject({ method: "PUT", url, headers, payload: orders });
    return [read.statusCode, written.statusCode];
  };
  expect(await statuses("Bearer nobody")).toEqual([401, 401]);
  expect(await statuses(READER)).toEqual([200, 401]);
  expect(await statuses(ADMIN)).toEqual([200, 201]);
});

test("each change is one line in the log, with who made it; what changes nothing is none", async () => {
  const lines: Record<string, unknown>[] = [];
  const other = await startDefinitionServer({
    log: pino({ level: "warn" }, { write: (line) => lines.push(JSON.parse(line)) }),
  });
  const first = await other.call("PUT", `${base}/attributes/orders`, orders);
  await other.call("PUT", `${base}/attributes/orders`, orders);
  await other.call("PUT", `${base}/definitions?dryRun=true`, { attributes: {}, audiences: {} });
  await other.call("PUT", `${base}/attributes/orders`, { ...orders, aggregate: "most" });
  const last = await other.call("DELETE", `${base}/attributes/orders`);
  await other.close();
  const [created, deleted] = [first.body.version, last.body.version];
  expect(lines).toMatchObject([
    { level: 40, tenant: "shop", version: created, name: "ada", added: ["attributes.orders"], removed: [] },
    { level: 40, tenant: "shop", version: deleted, name: "ada", added: [], removed: ["attributes.orders"] },
  ]);
});
