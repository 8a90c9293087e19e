import { describe, expect, inject, it } from "vitest";
import { createMemoryDueStore } from "../../shared/adapters/memory/memory-due-store.ts";
import { createRedisDueStore } from "../../shared/adapters/redis/redis-due-store.ts";
import { shardCount, shardOf } from "../../shared/adapters/redis/shards.ts";
import { userKey } from "../../shared/domain/envelope.ts";
import { type DueStoreSubject, describeDueStore, dueAt } from "./due-store.ts";
import { openOnRedis } from "./redis-subject.ts";

describeDueStore("memory", async () => {
  const store = createMemoryDueStore({ maxEntries: 10_000 });
  return { store, other: store, close: () => store.close() };
});
describeDueStore("Redis", () => openSubject(inject("servers").redisUrl));
describeDueStore("Redis Cluster", () => openSubject(inject("servers").redisClusterUrl));

describe("due store: memory", () => {
  it("refuses an entry too many, and still takes those that it has", async () => {
    const store = createMemoryDueStore({ maxEntries: 1 });
    await store.add([dueAt(1, "a")]);
    const full = { code: "store_unavailable", retryable: true };
    await expect(store.add([dueAt(1, "a"), dueAt(1, "b")])).rejects.toMatchObject(full);
    expect(await store.claim(1, 10, 1_000)).toEqual([dueAt(1, "a")]);
    await store.done([dueAt(1, "a")]);
    await store.add([dueAt(1, "b")]);
    await store.close();
    await expect(store.waiting()).rejects.toMatchObject({ code: "store_unavailable" });
  });
});

describe("due store: Redis", () => {
  it("lets no shard wait for the others, however small the limit", async () => {
    const { store, close } = await openOnRedis(inject("servers").redisUrl, createRedisDueStore);
    const users = Array.from({ length: 200 }, (_, index) => `user-${index}`);
    await store.add(users.flatMap((user) => [dueAt(1, user), dueAt(2, user)]));
    const shardsOf = (entries: { tenant: string; userId: string }[]) =>
      new Set(entries.map(({ tenant, userId }) => shardOf(userKey(tenant, userId))));
    expect(shardsOf(await store.claim(2, shardCount, 1_000)).size).toBe(shardCount);
    const oneByOne = [];
    for (let claim = 0; claim < shardCount; claim++) oneByOne.push(...(await store.claim(2, 1, 1_000)));
    expect(shardsOf(oneByOne).size).toBe(shardCount);
    await close();
  });
});

async function openSubject(url: string): Promise<DueStoreSubject> {
  const { connection, options, store, close } = await openOnRedis(url, createRedisDueStore);
  return { store, other: createRedisDueStore(connection, options), close };
}
