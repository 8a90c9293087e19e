import { afterEach, expect, test } from "vitest";
import { createSchemaCatalog } from "../../services/gateway/schemas/schema-catalog.ts";
import { declareSchema, documentOf } from "../../services/gateway/schemas/schema-document.ts";
import { type SchemaRegistry, startSchemaRegistry } from "../../services/gateway/schemas/schema-registry.ts";
import type { Learned, ValueType } from "../../services/gateway/schemas/tenant-schema.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { until } from "../support/until.ts";

const opened: SchemaRegistry[] = [];
afterEach(async () => {
  for (const registry of opened.splice(0)) await registry.close();
});

/** A store that can be away, and can be replaced by an empty one. */
function createStore() {
  let store = createMemoryDocumentStore({ maxEntries: 10 });
  let away = false;
  const there = () => {
    if (away) throw new KeylineError("store_unavailable", "away", { retryable: true });
    return store;
  };
  const port: Pick<DocumentStore, "revision" | "changedAfter" | "read" | "replace"> = {
    revision: async () => there().revision(),
    changedAfter: async (revision) => there().changedAfter(revision),
    read: async (tenant) => there().read(tenant),
    replace: async (...args) => there().replace(...args),
  };
  return {
    port,
    setAway(isAway: boolean) {
      away = isAway;
    },
    loseAll() {
      store = createMemoryDocumentStore({ maxEntries: 10 });
    },
  };
}
type Store = ReturnType<typeof createStore>;

function start({ port }: Store, writeEveryMs = 5) {
  const errors: unknown[] = [];
  const catalog = createSchemaCatalog({ store: port, now: Date.now });
  const onError = (error: unknown) => void errors.push(error);
  const registry = startSchemaRegistry({ store: port, catalog, onError, writeEveryMs });
  opened.push(registry);
  return { registry, catalog, errors };
}

const attributes = (types: Record<string, ValueType>): Learned => ({
  events: new Map(),
  attributes: new Map(
    Object.entries(types).map(([name, type]) => [name, { kind: "register", type, origin: "learned" }]),
  ),
});
const typesOf = (registry: SchemaRegistry) =>
  Object.fromEntries(
    Object.entries(documentOf(registry.of("shop"), { builtIn: false }).attributes).map(([name, { type }]) => [
      name,
      type,
    ]),
  );
const untilKnown = (registry: SchemaRegistry, types: Record<string, string>) =>
  until(
    `${Object.keys(types)} are known`,
    () =>
      JSON.stringify(Object.entries(typesOf(registry)).toSorted()) === JSON.stringify(Object.entries(types)),
    { everyMs: 5, patienceMs: 5_000 },
  );

test("what one gateway learns the others know, and what both learn at once is what the first to write says", async () => {
  const store = createStore();
  const [one, other] = [start(store), start(store)];
  one.registry.learn("shop", attributes({ city: "string", plan: "string" }), {});
  other.registry.learn("shop", attributes({ age: "number", plan: "number" }), {});
  await untilKnown(one.registry, { age: "number", city: "string", plan: "string" });
  await untilKnown(other.registry, { age: "number", city: "string", plan: "string" });
  expect([...one.errors, ...other.errors]).toEqual([]);
});

test("what is declared while a gateway has learned it otherwise stays declared", async () => {
  const store = createStore();
  const { registry, catalog } = start(store, 60_000);
  registry.learn("shop", attributes({ plan: "number", city: "string" }), {});
  await catalog.change("shop", (stored, version) =>
    declareSchema(stored, { attributes: { plan: { kind: "register", type: "string" } } }, version),
  );
  await registry.refresh();
  expect(typesOf(registry), "before it is written, too").toEqual({ plan: "string", city: "string" });
  const another = start(store);
  await opened.shift()!.close();
  await untilKnown(another.registry, { city: "string", plan: "string" });
  expect(another.registry.of("shop").attributes.get("plan")).toMatchObject({ origin: "declared" });
});

const forget = ({ catalog }: ReturnType<typeof start>) =>
  catalog.change("shop", (stored, version) => declareSchema(stored, { learned: "forget" }, version));

test("what was learned before it was forgotten elsewhere is not written back, what is learned after is", async () => {
  const store = createStore();
  const [one, other] = [start(store), start(store, 60_000)];
  one.registry.learn("shop", attributes({ age: "number" }), {});
  await untilKnown(other.registry, { age: "number" });
  other.registry.learn("shop", attributes({ city: "string" }), {});
  await forget(one);
  // What is declared then forgets nothing more, and hides nothing.
  await one.catalog.change("shop", (stored, version) => declareSchema(stored, {}, version));
  await opened.pop()!.close();
  expect((await store.port.read("shop")).document).not.toContain("city");
  const late = start(store, 60_000);
  await late.registry.refresh();
  late.registry.learn("shop", attributes({ plan: "string" }), {});
  await opened.pop()!.close();
  await untilKnown(one.registry, { plan: "string" });
});

test("what is forgotten while it is learned and looked at is known no more", async () => {
  const store = createStore();
  const [one, other] = [start(store, 60_000), start(store, 60_000)];
  one.registry.learn("shop", attributes({ city: "string" }), {});
  await forget(other);
  await one.registry.refresh();
  expect(typesOf(one.registry)).toEqual({});
});

test.each([
  ["is tried again at once", false],
  ["fails, and is tried again later", true],
])("what is forgotten while it is being written is not written, where that %s", async (_, fails) => {
  const store = createStore();
  const other = start(store, 60_000);
  const { replace } = store.port;
  let isFirst = true;
  const writing = start({
    ...store,
    port: {
      ...store.port,
      async replace(...args) {
        if (!isFirst) return replace(...args);
        isFirst = false;
        await forget(other);
        await writing.registry.refresh();
        if (fails) throw new KeylineError("store_unavailable", "away", { retryable: true });
        return replace(...args);
      },
    },
  });
  writing.registry.learn("shop", attributes({ city: "string" }), {});
  await until("it was forgotten", () => !isFirst && !("city" in typesOf(writing.registry)), { everyMs: 5 });
  await opened.pop()!.close();
  expect((await store.port.read("shop")).document).not.toContain("city");
});

test("while the store is away a gateway goes on learning, and writes it once the store is back", async () => {
  const store = createStore();
  const { registry, catalog, errors } = start(store);
  await catalog.change("shop", () => declareSchema(undefined, {}, 1));
  await registry.refresh();
  store.setAway(true);
  registry.learn("shop", attributes({ city: "string" }), {});
  await until("it could not write", () => errors.length > 0, { everyMs: 5 });
  registry.learn("shop", attributes({ plan: "string" }), {});
  expect(typesOf(registry)).toEqual({ city: "string", plan: "string" });
  store.setAway(false);
  const another = start(store);
  await untilKnown(another.registry, { city: "string", plan: "string" });
});

test("what a gateway has learned is written before it leaves", async () => {
  const store = createStore();
  const { registry } = start(store, 60_000);
  registry.learn("shop", attributes({ city: "string" }), {});
  await opened.shift()!.close();
  const another = start(store);
  await another.registry.refresh();
  expect(typesOf(another.registry)).toEqual({ city: "string" });
});

test("a store that lost all is told of; what is known goes on, and is put back with what is learned next", async () => {
  const store = createStore();
  const { registry, catalog, errors } = start(store);
  await catalog.change("shop", () => declareSchema(undefined, { mode: "reject" }, 1));
  registry.learn("shop", attributes({ city: "string" }), {});
  const before = start(store);
  await untilKnown(before.registry, { city: "string" });
  store.loseAll();
  await registry.refresh();
  expect(errors[0]).toMatchObject({ code: "schemas_lost" });
  expect(registry.of("shop").mode).toBe("reject");
  registry.learn("shop", attributes({ plan: "string" }), {});
  const another = start(store);
  await untilKnown(another.registry, { city: "string", plan: "string" });
  expect(another.registry.of("shop").mode).toBe("reject");
});

test.each(["{}", "no JSON", "null"])(
  "a schema that is %s is not written over, and stops no other",
  async (document) => {
    const store = createStore();
    await store.port.replace("broken", 0, { version: 1, document });
    const { registry, errors } = start(store);
    registry.learn("shop", attributes({ city: "string" }), {});
    registry.learn("broken", attributes({ city: "string" }), {});
    const another = start(store);
    await untilKnown(another.registry, { city: "string" });
    expect(errors[0]).toMatchObject({ code: "schema_unreadable", path: "broken" });
    expect(await store.port.read("broken")).toEqual({ version: 1, document });
  },
);

test("a schema holds 2,000 attributes at most, whatever comes", async () => {
  const { registry } = start(createStore(), 60_000);
  for (let round = 0; round < 30; round += 1)
    registry.learn(
      "shop",
      attributes(
        Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`a${round}-${n}`, "string" as const])),
      ),
      {},
    );
  expect(registry.of("shop").attributes.size).toBe(2_000);
});
