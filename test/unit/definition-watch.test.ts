import { afterEach, expect, test } from "vitest";
import {
  type DefinitionWatch,
  startDefinitionWatch,
} from "../../services/audience-update/definition-watch.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { apply } from "../../shared/domain/apply.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
  TAKEN_UP_WITHIN_MS,
  type TenantDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import type { DocumentStore, TenantDocument } from "../../shared/ports/document-store.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { START_MS } from "../support/arbitrary-updates.ts";
import { until } from "../support/until.ts";

const DAY_MS = 86_400_000;
const limits = { horizonMs: 36_500 * DAY_MS, maxSources: 128, maxIds: 32, idMemoryMs: DAY_MS };

const watches: DefinitionWatch[] = [];
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});

const orders = { attributes: { orders: { event: "order_completed", aggregate: "count" } } };

function documentOf(input: object, before = NO_TENANT_DEFINITIONS): TenantDocument {
  const document = replaceDefinitions(before, { attributes: {}, audiences: {}, ...input }, 0);
  if (isProblem(document)) throw new Error(document.message);
  return { version: document.version, document: JSON.stringify(document) };
}

/** A watch, and a store that can be away. */
function start(inner: DocumentStore = createMemoryDocumentStore({ maxEntries: 100 }), away = false) {
  const unless = <T>(work: () => Promise<T>): Promise<T> =>
    away ? Promise.reject(new KeylineError("store_unavailable", "away", { retryable: true })) : work();
  const store: DocumentStore = {
    ...inner,
    revision: () => unless(inner.revision),
    changedAfter: (revision) => unless(() => inner.changedAfter(revision)),
  };
  const changes: [tenant: string, version: number, error: string | undefined][] = [];
  const errors: unknown[] = [];
  const watch = startDefinitionWatch({
    store,
    consumer: "c1",
    onChange: (tenant, version, compiled) =>
      changes.push([tenant, version, compiled instanceof KeylineError ? compiled.code : undefined]),
    onError: (error) => void errors.push(error),
  });
  watches.push(watch);
  return { watch, store: inner, changes, errors, goAway: (is: boolean) => (away = is) };
}

test("a tenant's change is taken up by itself, and the costs of what is the same go on", async () => {
  const { watch, store, changes } = start();
  await store.replace("shop", 0, documentOf(orders));
  await until("the first is taken up", () => watch.of("shop").version === 1);
  watch.of("shop").attributes[0]!.cost.evaluations = 7;
  const before = JSON.parse(documentOf(orders).document) as TenantDefinitions;
  await store.replace(
    "shop",
    1,
    documentOf({ ...orders, audiences: { some: { rule: "orders > 1" } } }, before),
  );
  await until("the second is taken up", () => watch.of("shop").version === 2);
  expect(watch.of("shop").audiences.map(({ name }) => name)).toEqual(["some"]);
  expect(watch.of("shop").attributes[0]!.cost.evaluations).toBe(7);
  expect(watch.of("other").version).toBe(0);
  expect(changes).toEqual([
    ["shop", 1, undefined],
    ["shop", 2, undefined],
  ]);
});

test("a watch that could not look is fresh no longer than a change may take, and is again once it could", async () => {
  const { watch, goAway } = start();
  await watch.refresh();
  expect(watch.isFresh()).toBe(true);
  goAway(true);
  const awayMs = performance.now();
  await until("it is fresh no more", () => !watch.isFresh());
  expect(performance.now() - awayMs).toBeLessThan(TAKEN_UP_WITHIN_MS + 1_000);
  await expect(watch.refresh()).rejects.toMatchObject({ code: "store_unavailable" });
  goAway(false);
  await until("it is fresh again", () => watch.isFresh());
});

test("until the first look nothing is defined and nothing is fresh; it comes by itself once the store answers", async () => {
  const { watch, store, goAway } = start(undefined, true);
  await store.replace("shop", 0, documentOf(orders));
  await expect(watch.refresh()).rejects.toMatchObject({ code: "store_unavailable" });
  expect([watch.isLoaded(), watch.isFresh()]).toEqual([false, false]);
  expect(() => watch.of("shop")).toThrow(
    expect.objectContaining({ code: "definitions_not_loaded", retryable: true }),
  );
  goAway(false);
  await until("it is loaded", () => watch.isLoaded());
  expect(watch.of("shop").version).toBe(1);
  goAway(true);
  await until("it is fresh no more", () => !watch.isFresh());
  expect([watch.isLoaded(), watch.of("shop").version]).toEqual([true, 1]);
});

test("a first look before there is a connection is no error, and a store that stays away is one", async () => {
  const { watch, errors, goAway } = start(undefined, true);
  await expect(watch.refresh()).rejects.toMatchObject({ code: "store_unavailable" });
  goAway(false);
  await until("it is loaded", () => watch.isLoaded());
  expect(errors).toEqual([]);
  goAway(true);
  await until("it is told", () => errors.length > 0);
  expect(errors[0]).toMatchObject({ code: "store_unavailable" });
});

test("who asks while a look is under way gets one that began after the asking", async () => {
  const { watch, store } = start();
  await watch.refresh();
  const underWay = watch.refresh();
  await store.replace("shop", 0, documentOf(orders));
  await watch.refresh();
  expect(watch.of("shop").version).toBe(1);
  await underWay;
});

test("tenants and definitions may have the names of what every object has", async () => {
  const { watch, store } = start();
  const keys = { attributes: { keys: { event: "order_completed", aggregate: "count" } } };
  await store.replace("constructor", 0, documentOf(keys));
  await until("it is taken up", () => watch.of("constructor").version === 1);
  watch.of("constructor").attributes[0]!.cost.evaluations = 64;
  await until("it is reported", async () => (await store.reports())[0]?.report.includes("keys") === true);
  expect(typeof Object.keys).toBe("function");
});

test("what this build can't read holds up its own tenant only", async () => {
  const { watch, store, changes } = start();
  const strange = '{"version":1,"attributes":{"a":{"definition":{"aggregate":"median"}}}}';
  await store.replace("strange", 0, { version: 1, document: strange });
  await store.replace("broken", 0, { version: 1, document: "no JSON" });
  await store.replace("shop", 0, documentOf(orders));
  await until("all are taken up", () => changes.length === 3);
  for (const tenant of ["strange", "broken"])
    expect(() => watch.of(tenant)).toThrow(expect.objectContaining({ code: "definitions_unreadable" }));
  expect(watch.of("shop").version).toBe(1);
});

test("a store that went back is believed", async () => {
  const lost = createMemoryDocumentStore({ maxEntries: 100 });
  await lost.replace("shop", 0, documentOf(orders));
  await lost.replace("shop", 1, { ...documentOf({}), version: 2 });
  const kept = createMemoryDocumentStore({ maxEntries: 100 });
  await kept.replace("shop", 0, documentOf(orders));
  let current = lost;
  const { watch } = start({
    ...lost,
    revision: () => current.revision(),
    changedAfter: (revision) => current.changedAfter(revision),
  });
  await until("the newer is taken up", () => watch.of("shop").version === 2);
  current = kept;
  await until("the older is", () => watch.of("shop").version === 1);
  expect(watch.of("shop").attributes).toHaveLength(1);
});

test("a consumer reports the versions it has, and what definitions cost it", async () => {
  const { watch, store } = start();
  await store.replace("shop", 0, documentOf(orders));
  await until("it is taken up", () => watch.of("shop").version === 1);
  const { cost } = watch.of("shop").attributes[0]!;
  cost.evaluations = 640;
  cost.failures = 2;
  cost.lastError = "division by zero";
  await until("it is reported", async () => {
    const [report] = await store.reports();
    return report?.report.includes("division by zero") === true;
  });
  const [told] = await store.reports();
  expect(told!.consumer).toBe("c1");
  expect(JSON.parse(told!.report)).toMatchObject({
    versions: { shop: 1 },
    costs: { shop: { orders: { evaluations: 640, failures: 2, lastError: "division by zero" } } },
  });
});

test("what a condition costs, and its failures, are reported of the attributes that have it", async () => {
  const { watch, store } = start();
  const where = "event.amount > 10";
  const big = { event: "order_completed", aggregate: "count", where };
  await store.replace("shop", 0, documentOf({ attributes: { big, sums: { ...big, aggregate: "exists" } } }));
  await until("it is taken up", () => watch.of("shop").version > 0);
  const definitions = watch.of("shop");
  const event = (seq: number, properties: object): Update => ({
    ...{ v: 1, tenant: "shop", userId: "42", src: "s", seq, stamp: stampAt(START_MS + seq), at: START_MS },
    ops: [{ kind: "event", body: { name: "order_completed", properties: { ...properties } } }],
  });
  const missing = Array.from({ length: 63 }, (_, i) => event(i + 1, {}));
  apply(EMPTY_PROFILE, [...missing, event(64, { amount: "much" })], limits, START_MS, definitions);
  await until("it is reported", async () => (await store.reports())[0]?.report.includes("failures") === true);
  const [told] = await store.reports();
  const cost = { evaluations: 64, failures: 1, lastError: expect.stringContaining("no such overload") };
  expect(JSON.parse(told!.report).costs.shop).toMatchObject({ big: cost, sums: cost });
  const [group] = definitions.byEvent.get("order_completed")!;
  expect(group!.cost).toMatchObject({ timed: 1 });
});
