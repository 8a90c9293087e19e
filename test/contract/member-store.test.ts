import { describe, expect, inject, it } from "vitest";
import { createMemoryMemberStore } from "../../shared/adapters/memory/memory-member-store.ts";
import { createRedisMemberStore } from "../../shared/adapters/redis/redis-member-store.ts";
import { shardOf } from "../../shared/adapters/redis/shards.ts";
import { changeOf, describeMemberStore } from "./member-store.ts";
import { openOnRedis } from "./redis-subject.ts";

describeMemberStore("memory", async () => {
  const store = createMemoryMemberStore({ maxEntries: 100_000 });
  return { store, close: () => store.close() };
});
describeMemberStore("Redis", () => openOnRedis(inject("servers").redisUrl, createRedisMemberStore));
describeMemberStore("Redis Cluster", () =>
  openOnRedis(inject("servers").redisClusterUrl, createRedisMemberStore),
);

describe("member store: Redis", () => {
  it("pages through members who all lie in few shards", async () => {
    const { store, close } = await openOnRedis(inject("servers").redisUrl, createRedisMemberStore);
    const userIds = Array.from({ length: 5_000 }, (_, index) => `user-${String(index).padStart(4, "0")}`);
    // The first half in one shard, a part of the others in two.
    const members = userIds.filter((userId, index) =>
      index < 2_500 ? shardOf(userId) === 3 : [5, 9].includes(shardOf(userId)),
    );
    await store.record(members.map((userId) => changeOf(userId, 1)));
    for (const limit of [1, 10, 16, 100, 1_000]) {
      const seen: string[] = [];
      for (let after: string | undefined, first = true; first || after !== undefined; first = false) {
        const page = await store.page(changeOf("", 1), after, limit);
        seen.push(...page.userIds);
        after = page.next;
      }
      expect(seen).toEqual(members);
    }
    await close();
  });
});

describe("member store: memory", () => {
  it("refuses a user too many, and still takes the changes of those that it has", async () => {
    const store = createMemoryMemberStore({ maxEntries: 2 });
    const full = { code: "store_unavailable", retryable: true };
    const entry = changeOf("a", 1);
    await store.record([entry, changeOf("b", 2)]);
    await expect(store.record([changeOf("c", 1)])).rejects.toMatchObject(full);
    await expect(store.record([{ ...changeOf("a", 1), audience: "vips" }])).rejects.toMatchObject(full);
    await store.record([changeOf("a", 2), changeOf("b", 3)]);
    expect(await store.page(entry, undefined, 10)).toEqual({ userIds: ["b"], next: undefined });
    await store.drop(entry);
    await store.record([changeOf("c", 1), changeOf("d", 1)]);
    await store.close();
    await expect(store.count(entry)).rejects.toMatchObject({ code: "store_unavailable" });
  });
});
