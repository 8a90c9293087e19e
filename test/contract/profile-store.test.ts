import { randomUUID } from "node:crypto";
import { describe, expect, inject, it, vi } from "vitest";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { profileKey } from "../../shared/adapters/redis/profile-key.ts";
import { openRedis, type RedisConnection } from "../../shared/adapters/redis/redis-connection.ts";
import { createRedisProfileStore } from "../../shared/adapters/redis/redis-profile-store.ts";
import { describeProfileStore, type ProfileStoreSubject, someUser, writeOf } from "./profile-store.ts";

describeProfileStore("memory", async () => {
  const store = createMemoryProfileStore({ maxProfiles: 1_000 });
  return {
    store,
    async attributes(user) {
      const attributes = store.attributes(user);
      return attributes === undefined ? undefined : fromEntries([...attributes]);
    },
    close: () => store.close(),
  };
});

describeProfileStore("Redis", () => openSubject(inject("servers").redisUrl));
describeProfileStore("Redis Cluster", () => openSubject(inject("servers").redisClusterUrl));

describe("profile store: memory", () => {
  it("fails the write of one profile too many, and still takes those of the others", async () => {
    const store = createMemoryProfileStore({ maxProfiles: 1 });
    const user = someUser();
    const results = await store.save([writeOf(user, { version: "one" }), writeOf(someUser())]);
    expect(results).toMatchObject([
      { outcome: "saved" },
      { outcome: "failed", error: { code: "store_unavailable" } },
    ]);
    expect(await store.save([writeOf(user, { expectedVersion: "one" })])).toEqual([{ outcome: "saved" }]);
    await store.close();
    await expect(store.ping()).rejects.toMatchObject({ code: "store_unavailable" });
  });
});

async function openSubject(url: string): Promise<ProfileStoreSubject> {
  const connection = openRedis(url);
  const keyPrefix = `test-${randomUUID()}:`;
  const store = createRedisProfileStore(connection, { keyPrefix, commandTimeoutMs: 5_000 });
  await vi.waitFor(() => store.ping(), { timeout: 10_000 });
  return {
    store,
    async attributes(user) {
      const fields = await fieldsOf(connection, profileKey(keyPrefix, user));
      return fields.length === 0 ? undefined : fromEntries(fields.flatMap(attributeOf));
    },
    async close() {
      await store.close();
      await connection.close();
    },
  };
}

async function fieldsOf({ client }: RedisConnection, key: string): Promise<[string, string][]> {
  const commander = client.kind === "single" ? client.redis : client.cluster;
  // Not HGETALL, whose reply ioredis makes an object, where `__proto__` gets lost.
  const [names, values] = await Promise.all([commander.hkeys(key), commander.hvals(key)]);
  return names.map((name, index) => [name, values[index] ?? ""]);
}

/** As a reader does: fields with one `$` are not attributes, `$$` stands for a `$`. */
function attributeOf([field, json]: [string, string]): [string, string][] {
  if (!field.startsWith("$")) return [[field, json]];
  return field.startsWith("$$") ? [[field.slice(1), json]] : [];
}

/** Without a prototype, so that an attribute may be called `__proto__`. */
function fromEntries(entries: [string, string][]): Record<string, string> {
  const record: Record<string, string> = Object.create(null);
  for (const [name, json] of entries) record[name] = json;
  return record;
}
