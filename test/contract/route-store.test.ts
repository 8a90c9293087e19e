import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, inject, it, vi } from "vitest";
import { installRedis, startRedis, withRedis } from "../../deploy/local/redis.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import { openRedis, type RedisConnection } from "../../shared/adapters/redis/redis-connection.ts";
import { createRedisRouteStore } from "../../shared/adapters/redis/redis-route-store.ts";
import type { RouteStore } from "../../shared/ports/route-store.ts";
import { describeRouteStore, type RouteStoreSubject, type TestClock } from "./route-store.ts";
import { arbitraryRouteOperations, runRouteOperation } from "./route-store-operations.ts";

describeRouteStore("memory", async (clock) => {
  const store = createMemoryRouteStore({ now: () => clock.nowMs });
  return { store, other: store, close: () => store.close() };
});
describeRouteStore("Redis", (clock) => openSubject(inject("servers").redisUrl, clock));
describeRouteStore("Redis Cluster", (clock) => openSubject(inject("servers").redisClusterUrl, clock));

describe("route store: the script and the pure decision", () => {
  const clock: TestClock = { nowMs: 0 };
  let connection: RedisConnection;

  beforeAll(async () => {
    connection = openRedis(inject("servers").redisUrl);
    await untilConnected(connection);
  });

  afterAll(() => connection.close());

  it("answer alike to any sequence of operations, with the same audit log", async () => {
    let moves = 0;
    await fc.assert(
      fc.asyncProperty(arbitraryRouteOperations, async (operations) => {
        clock.nowMs = 1_700_000_000_000;
        const redis = createRedisRouteStore(connection, {
          keyPrefix: someKeyPrefix(),
          clock: () => clock.nowMs,
        });
        const memory = createMemoryRouteStore({ now: () => clock.nowMs });
        for (const operation of operations) {
          if (operation.do === "wait") clock.nowMs += operation.ms;
          else
            expect(await runRouteOperation(redis, operation)).toEqual(
              await runRouteOperation(memory, operation),
            );
        }
        const lines = await redis.audit(1_000);
        expect(lines).toEqual(await memory.audit(1_000));
        moves += lines.filter(({ action }) => action === "fleet").length;
      }),
      { numRuns: 200 },
    );
    // Otherwise the sequences never moved the fleet, and this shows nothing.
    expect(moves).toBeGreaterThan(200);
  }, 120_000);
});

describe("route store: Redis", () => {
  it("goes by the server's clock when it is given none", async () => {
    const connection = openRedis(inject("servers").redisUrl);
    await untilConnected(connection);
    const store = createRedisRouteStore(connection, { keyPrefix: someKeyPrefix() });
    const { override } = await store.override({ route: "sqs", reason: "r", name: "n", expiresInMs: 1_000 });
    const port = Number(new URL(inject("servers").redisUrl).port);
    const [seconds] = await withRedis(port, (redis) => redis.time());
    expect(Math.abs((override?.setAtMs ?? 0) - Number(seconds) * 1_000)).toBeLessThan(5_000);
    expect(override?.expiresAtMs).toBe((override?.setAtMs ?? 0) + 1_000);
    await vi.waitFor(async () => expect((await store.read()).override).toBeUndefined(), { timeout: 5_000 });
    await connection.close();
  });

  it("keeps about 10,000 lines of the audit log", async () => {
    const connection = openRedis(inject("servers").redisUrl);
    await untilConnected(connection);
    const store = createRedisRouteStore(connection, { keyPrefix: someKeyPrefix(), commandTimeoutMs: 20_000 });
    for (let start = 0; start < 12_000; start += 1_000) {
      const changes = Array.from({ length: 1_000 }, (_, index) => ({
        name: "ada",
        reason: `${start + index}`,
      }));
      await Promise.all(changes.map((change) => store.clearOverride(change)));
    }
    const lines = await store.audit(20_000);
    expect(lines.length).toBeGreaterThanOrEqual(10_000);
    expect(lines.length).toBeLessThan(10_200);
    expect(lines[0]?.reason).toBe("11999");
    await connection.close();
  });

  it("rejects while Redis is away, changes nothing, and goes on when it is back", async () => {
    const directory = await mkdtemp(join(tmpdir(), "keyline-route-"));
    const installation = await installRedis(() => {});
    const server = await startRedis(installation, { directory });
    const port = Number(new URL(server.urls.redis).port);
    const connection = openRedis(server.urls.redis, { maxReconnectDelayMs: 100 });
    const clock: TestClock = { nowMs: 1_700_000_000_000 };
    const store = createRedisRouteStore(connection, { keyPrefix: "kl:", clock: () => clock.nowMs });
    await untilConnected(connection);
    await store.vote({ voter: "a", route: "sqs", reason: "sick" }, 60_000);
    clock.nowMs += 30_000;
    await store.vote({ voter: "a", route: "sqs", reason: "sick" }, 30_000);
    await server.stop();
    const away = { code: "store_unavailable", retryable: true };
    await expect(store.vote({ voter: "a", route: "sqs", reason: "" }, 60_000)).rejects.toMatchObject(away);
    await expect(
      store.override({ route: "sqs", reason: "", name: "", expiresInMs: 1 }),
    ).rejects.toMatchObject(away);
    await expect(store.read()).rejects.toMatchObject(away);
    await expect(store.withdraw("a")).resolves.toBeUndefined();
    const again = await startRedis(installation, { directory, port });
    await untilConnected(connection);
    expect(await store.read()).toMatchObject({ route: "sqs", override: undefined, votes: [{ voter: "a" }] });
    await connection.close();
    await again.stop();
    await rm(directory, { recursive: true });
  });

  it("refuses a prefix with braces, which would be the hash tag", async () => {
    const connection = openRedis(inject("servers").redisUrl);
    expect(() => createRedisRouteStore(connection, { keyPrefix: "{a}" })).toThrow(/"{a}"/);
    await connection.close();
  });
});

async function openSubject(url: string, clock: TestClock): Promise<RouteStoreSubject> {
  const keyPrefix = someKeyPrefix();
  const connections = [openRedis(url), openRedis(url)] as const;
  const [store, other] = connections.map((connection) =>
    createRedisRouteStore(connection, { keyPrefix, clock: () => clock.nowMs }),
  ) as [RouteStore, RouteStore];
  await Promise.all(connections.map(untilConnected));
  return {
    store,
    other,
    async close() {
      await Promise.all(connections.map((connection) => connection.close()));
    },
  };
}

function someKeyPrefix(): string {
  return `test-${randomUUID()}:`;
}

async function untilConnected(connection: RedisConnection): Promise<void> {
  const probe = createRedisRouteStore(connection, { keyPrefix: someKeyPrefix() });
  await vi.waitFor(() => probe.read(), { timeout: 10_000 });
}
