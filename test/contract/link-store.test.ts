import { describe, expect, inject, it } from "vitest";
import { createMemoryLinkStore } from "../../shared/adapters/memory/memory-link-store.ts";
import { createRedisLinkStore } from "../../shared/adapters/redis/redis-link-store.ts";
import type { LinkStore } from "../../shared/ports/link-store.ts";
import { openOnRedis } from "./redis-subject.ts";

type Subject = { store: LinkStore; other: LinkStore; close(): Promise<void> };

const subjects: [string, () => Promise<Subject>][] = [
  [
    "memory",
    async () => {
      const store = createMemoryLinkStore({ maxUsers: 100 });
      return { store, other: store, close: store.close };
    },
  ],
  ["Redis", () => openSubject(inject("servers").redisUrl)],
  ["Redis Cluster", () => openSubject(inject("servers").redisClusterUrl)],
];

async function openSubject(url: string): Promise<Subject> {
  const { store, connection, options, close } = await openOnRedis(url, createRedisLinkStore);
  return { store, other: createRedisLinkStore(connection, options), close };
}

const link = (userId: string, linkedId: string, tenant = "shop") => ({ tenant, userId, linkedId });

describe.each(subjects)("link store: %s", (_name, open) => {
  it("links up to the limit, and what is linked again and again, as before", async () => {
    const { store, close } = await open();
    expect(await store.link([link("ann", "a"), link("ann", "b"), link("ann", "c")], 2)).toEqual([
      ...[true, true, false],
    ]);
    expect(await store.link([link("ann", "b"), link("ann", "d")], 2)).toEqual([true, false]);
    expect(await store.link([link("ann", "d")], 3)).toEqual([true]);
    // A limit that was lowered undoes nothing.
    expect(await store.link([link("ann", "a"), link("ann", "e")], 1)).toEqual([true, false]);
    await close();
  });

  it("counts for each user of each tenant alone, whatever the ids are", async () => {
    const { store, close } = await open();
    const ids = ["1", "a:b", "{1}", "Zoë %", ""];
    for (const id of ids) expect(await store.link([link(id, "x"), link(id, "y")], 1)).toEqual([true, false]);
    expect(await store.link([link("1", "y", "other")], 1)).toEqual([true]);
    await close();
  });

  it("lets no more than the limit through at once, by two stores together", async () => {
    const { store, other, close } = await open();
    const calls = Array.from({ length: 40 }, (_, n) =>
      (n % 2 === 0 ? store : other).link([link("ann", String(n))], 7),
    );
    const linked = (await Promise.all(calls)).flat().filter(Boolean);
    expect(linked).toHaveLength(7);
    await close();
  });
});
