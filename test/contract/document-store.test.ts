import { describe, expect, inject, it, vi } from "vitest";
import { withRedis } from "../../deploy/local/redis.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import type { RedisStoreOptions } from "../../shared/adapters/redis/redis-calls.ts";
import type { RedisConnection } from "../../shared/adapters/redis/redis-connection.ts";
import { createRedisDocumentStore } from "../../shared/adapters/redis/redis-document-store.ts";
import { describeDocumentStore, versionOf } from "./document-store.ts";
import { openOnRedis } from "./redis-subject.ts";

const openDefinitions = (...[connection, options]: [RedisConnection, RedisStoreOptions]) =>
  createRedisDocumentStore(connection, "definitions", options);

describeDocumentStore("memory", async () => {
  const store = createMemoryDocumentStore({ maxEntries: 100 });
  return { store, close: () => store.close() };
});
describeDocumentStore("Redis", () => openOnRedis(inject("servers").redisUrl, openDefinitions));
describeDocumentStore("Redis Cluster", () => openOnRedis(inject("servers").redisClusterUrl, openDefinitions));

describe("document store: memory", () => {
  it("keeps a report for as long as it was to, by the clock that it is given", async () => {
    let nowMs = 1_000;
    const store = createMemoryDocumentStore({ maxEntries: 1, now: () => nowMs });
    await store.report("a", "{}", 500);
    nowMs = 1_499;
    expect(await store.reports()).toEqual([{ consumer: "a", atMs: 1_000, report: "{}" }]);
    nowMs = 1_500;
    expect(await store.reports()).toEqual([]);
  });

  it("refuses a document or a report too many, and still takes those of the others", async () => {
    let nowMs = 0;
    const full = { code: "store_unavailable", retryable: true };
    const store = createMemoryDocumentStore({ maxEntries: 1, now: () => nowMs });
    await store.replace("shop", 0, versionOf(1, "one"));
    await expect(store.replace("other", 0, versionOf(1, "one"))).rejects.toMatchObject(full);
    expect(await store.replace("shop", 1, versionOf(2, "two"))).toBe(true);
    await store.report("a", "{}", 500);
    await expect(store.report("b", "{}", 500)).rejects.toMatchObject(full);
    await store.report("a", "{}", 500);
    nowMs = 500;
    await store.report("b", "{}", 500);
    await store.close();
    await expect(store.revision()).rejects.toMatchObject({ code: "store_unavailable" });
  });
});

describe("document store: Redis", () => {
  it("keeps the documents of each kind by themselves", async () => {
    const { store, connection, options, close } = await openOnRedis(
      inject("servers").redisUrl,
      openDefinitions,
    );
    await store.replace("shop", 0, versionOf(1, "a definition"));
    for (const kind of ["tenants", "schemas"] as const) {
      const other = createRedisDocumentStore(connection, kind, options);
      expect(await other.changedAfter(-1)).toEqual({ revision: 0, documents: new Map() });
      expect(await other.replace("shop", 0, versionOf(1, kind))).toBe(true);
      expect(await other.read("shop")).toEqual(versionOf(1, kind));
    }
    expect(await store.read("shop")).toEqual(versionOf(1, "a definition"));
    await close();
  });

  it("removes the reports that are over with the next one", async () => {
    const { store, options, close } = await openOnRedis(inject("servers").redisUrl, openDefinitions);
    const port = Number(new URL(inject("servers").redisUrl).port);
    const stored = () => withRedis(port, (redis) => redis.hkeys(`${options.keyPrefix}{definitions}:reports`));
    await store.report("short", "", 20);
    expect(await stored()).toEqual(["short"]);
    await vi.waitFor(async () => {
      await store.report("long", "", 60_000);
      expect(await stored()).toEqual(["long"]);
    });
    await close();
  });

  it("gives no revision again that was given and lost", async () => {
    const { store, options, close } = await openOnRedis(inject("servers").redisUrl, openDefinitions);
    const port = Number(new URL(inject("servers").redisUrl).port);
    await store.replace("shop", 0, versionOf(1, "one"));
    const before = await store.revision();
    await store.replace("shop", 1, versionOf(2, "lost"));
    const lost = await store.revision();
    await withRedis(port, async (redis) => {
      await redis.set(`${options.keyPrefix}{definitions}:revision`, before);
      await redis.hset(`${options.keyPrefix}{definitions}:documents`, "shop", "1 one");
    });
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(lost));
    expect(await store.replace("shop", 1, versionOf(3, "another"))).toBe(true);
    expect(await store.revision()).toBeGreaterThan(lost);
    await close();
  });
});
