import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, inject, it, vi } from "vitest";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import { profileKey, rateKey } from "../../shared/adapters/redis/profile-key.ts";
import { openRedis } from "../../shared/adapters/redis/redis-connection.ts";
import { createRedisRateStore } from "../../shared/adapters/redis/redis-rate-store.ts";
import { priceTokens, type Taken, takeTokens } from "../../shared/domain/token-bucket.ts";
import type { RateStore } from "../../shared/ports/rate-store.ts";
import { describeRateStore, type RateStoreSubject, type TestClock } from "./rate-store.ts";
import { openOnRedis } from "./redis-subject.ts";

const servers = [
  ["Redis", () => inject("servers").redisUrl],
  ["Redis Cluster", () => inject("servers").redisClusterUrl],
] as const;

describeRateStore("memory", async (clock) => {
  const store = createMemoryRateStore({ maxBuckets: 100, now: () => clock.nowMs });
  return { store, other: store, close: () => store.close() };
});
for (const [name, url] of servers) describeRateStore(name, (clock) => openSubject(url(), clock));

describe("rate store: the script and the pure rule", () => {
  it("answer alike to any sequence of takes, limits and steps of the clock", async () => {
    const outcomes = { taken: 0, refused: 0 };
    let nowUs = 0;
    const redis = await openOnRedis(inject("servers").redisUrl, (connection, options) =>
      createRedisRateStore(connection, { ...options, clockUs: () => nowUs }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryStep, { minLength: 10, maxLength: 40 }), async (steps) => {
        nowUs = 1_767_225_600_123_457;
        const bucket = randomUUID();
        let emptyUs: number | undefined;
        for (const { passesUs, tokens, limit } of steps) {
          nowUs += passesUs;
          const price = priceTokens(tokens, limit);
          const never: Taken = { emptyUs: emptyUs!, waitMs: Number.POSITIVE_INFINITY };
          const expected = price === undefined ? never : takeTokens(emptyUs, nowUs, price);
          emptyUs = expected.emptyUs;
          expect(await redis.store.take(bucket, tokens, limit)).toBe(expected.waitMs);
          outcomes[expected.waitMs === 0 ? "taken" : "refused"]++;
        }
      }),
      { numRuns: 200 },
    );
    // Otherwise the sequences were too much of one kind to show anything.
    expect(Math.min(outcomes.taken, outcomes.refused)).toBeGreaterThan(500);
    await redis.close();
  }, 120_000);
});

describe.each(servers)("rate store: %s by its own clock", (_name, url) => {
  it("gives through two stores together what the limit allows, and no more", async () => {
    const limit = { perSecond: 200, burst: 20 };
    const { store, connection, options, close } = await openOnRedis(url(), createRedisRateStore);
    const other = createRedisRateStore(connection, options);
    const beganMs = performance.now();
    const takers = [store, other, store, other].map((taker) => takeUntil(taker, limit, beganMs + 1_000));
    const taken = (await Promise.all(takers)).reduce((sum, each) => sum + each, 0);
    const tookMs = performance.now() - beganMs;
    // One more, for the two clocks need not go alike to the microsecond.
    expect(taken).toBeLessThanOrEqual(limit.burst + (limit.perSecond * tookMs) / 1_000 + 1);
    expect(taken).toBeGreaterThan(limit.burst + 1);
    await close();
  });

  it("leaves nothing of a bucket that is full again", async () => {
    const limit = { perSecond: 100, burst: 50 };
    const { store, connection, options, close } = await openOnRedis(url(), createRedisRateStore);
    const client = connection.client.kind === "single" ? connection.client.redis : connection.client.cluster;
    const key = rateKey(options.keyPrefix, "a");
    await store.take("a", 50, limit);
    expect(await client.pttl(key)).toBeLessThanOrEqual(500);
    await vi.waitFor(async () => expect(await client.exists(key)).toBe(0), { timeout: 10_000 });
    expect(await store.take("a", 50, limit)).toBe(0);
    await close();
  });

  it("keeps the moment in microseconds by the server's clock", async () => {
    const { store, connection, options, close } = await openOnRedis(url(), createRedisRateStore);
    await store.take("a", 1, { perSecond: 0.01, burst: 1 });
    const client = connection.client.kind === "single" ? connection.client.redis : connection.client.cluster;
    const stored = await client.get(rateKey(options.keyPrefix, "a"));
    expect(stored).toMatch(/^\d{16}$/);
    const [seconds, microseconds] = await client.time();
    const passedUs = Number(seconds) * 1e6 + Number(microseconds) - Number(stored);
    expect(Math.abs(passedUs)).toBeLessThan(5_000_000);
    await close();
  });

  it("takes what comes back within a microsecond", async () => {
    const { store, close } = await openOnRedis(url(), createRedisRateStore);
    expect(await store.take("a", 1, { perSecond: 1_000_000, burst: 1_000_000 })).toBe(0);
    expect(await store.take("b", 1, { perSecond: 1e12, burst: 1 })).toBe(0);
    await close();
  });

  it("keeps a bucket for as long as a slower limit needs, also when it only refuses", async () => {
    const { store, connection, options, close } = await openOnRedis(url(), createRedisRateStore);
    const client = connection.client.kind === "single" ? connection.client.redis : connection.client.cluster;
    await store.take("a", 10, { perSecond: 1, burst: 10 });
    expect(await store.take("a", 10, { perSecond: 0.01, burst: 10 })).toBeGreaterThan(900_000);
    await store.take("a", 10, { perSecond: 1, burst: 10 });
    expect(await client.pttl(rateKey(options.keyPrefix, "a"))).toBeGreaterThan(900_000);
    await close();
  });
});

describe("rate store: Redis", () => {
  it.each(["redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1"])(
    "rejects where %s is no server",
    async (url) => {
      const connection = openRedis(url);
      const store = createRedisRateStore(connection, { keyPrefix: "kl:", commandTimeoutMs: 1_000 });
      const away = { code: "store_unavailable", retryable: true };
      await expect(store.take("a", 1, { perSecond: 1, burst: 1 })).rejects.toMatchObject(away);
      await connection.close();
    },
  );

  it("rejects where the key holds something else", async () => {
    const { store, connection, options, close } = await openOnRedis(
      inject("servers").redisUrl,
      createRedisRateStore,
    );
    if (connection.client.kind === "single")
      await connection.client.redis.hset(rateKey(options.keyPrefix, "a"), "name", "value");
    await expect(store.take("a", 1, { perSecond: 1, burst: 1 })).rejects.toThrow(/WRONGTYPE/);
    await close();
  });

  it("has no key that is a profile's", () => {
    expect(rateKey("kl:", "x:42")).not.toBe(profileKey("kl:", { tenant: "rate-x", userId: "42" }));
  });

  it("refuses a prefix with braces, which would be the hash tag", async () => {
    const connection = openRedis("redis://127.0.0.1:1");
    const options = { keyPrefix: "{a}", commandTimeoutMs: 1_000 };
    expect(() => createRedisRateStore(connection, options)).toThrow(/"{a}"/);
    await connection.close();
  });
});

describe("rate store: memory", () => {
  it("refuses a bucket too many, once it has dropped the full ones", async () => {
    let nowMs = 1_000_000;
    const store = createMemoryRateStore({ maxBuckets: 2, now: () => nowMs });
    const limit = { perSecond: 1, burst: 10 };
    await store.take("a", 1, limit);
    await store.take("b", 5, limit);
    const full = { code: "store_unavailable", retryable: true };
    await expect(store.take("c", 1, limit)).rejects.toMatchObject(full);
    expect(await store.take("a", 1, limit)).toBe(0);
    nowMs += 2_000;
    expect(await store.take("c", 1, limit)).toBe(0);
    await expect(store.take("a", 1, limit)).rejects.toMatchObject(full);
    expect(await store.take("b", 10, limit)).toBe(3_000);
    await store.close();
    await expect(store.take("b", 1, limit)).rejects.toMatchObject({ code: "store_unavailable" });
  });

  it("keeps a bucket for as long as a slower limit needs, also when it only refuses", async () => {
    let nowMs = 1_000_000;
    const store = createMemoryRateStore({ maxBuckets: 2, now: () => nowMs });
    const slow = { perSecond: 0.01, burst: 10 };
    await store.take("a", 10, { perSecond: 1, burst: 10 });
    expect(await store.take("a", 10, slow)).toBe(1_000_000);
    expect(await store.take("a", 10, { perSecond: 1, burst: 10 })).toBe(10_000);
    nowMs += 20_000;
    expect(await store.take("a", 10, slow)).toBe(980_000);
    await store.close();
  });

  it("takes a bucket that got full for a full one, also under a slower limit", async () => {
    let nowMs = 1_000_000;
    const store = createMemoryRateStore({ maxBuckets: 2, now: () => nowMs });
    await store.take("a", 10, { perSecond: 1, burst: 10 });
    nowMs += 10_000;
    expect(await store.take("a", 10, { perSecond: 0.01, burst: 10 })).toBe(0);
    await store.close();
  });
});

/** Takes one by one, as soon as it may. @returns how many. */
async function takeUntil(
  store: RateStore,
  limit: { perSecond: number; burst: number },
  endMs: number,
): Promise<number> {
  let taken = 0;
  while (performance.now() < endMs) {
    const waitMs = await store.take("a", 1, limit);
    if (waitMs === 0) taken++;
    else await sleep(waitMs);
  }
  return taken;
}

/** A token takes at least a minute: Redis drops a full bucket by its own clock, which this test must not wait for. */
const arbitraryStep = fc.record({
  passesUs: fc.oneof(
    fc.constant(0),
    fc.integer({ min: 0, max: 1_000 }),
    fc.integer({ min: -100_000_000, max: 3_000_000_000 }),
  ),
  tokens: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.double({ min: 1, max: 4, noNaN: true })),
  limit: fc.record({
    perSecond: fc.double({ min: 0.001, max: 1 / 60, noNaN: true }),
    burst: fc.integer({ min: 1, max: 10 }),
  }),
});

async function openSubject(url: string, clock: TestClock): Promise<RateStoreSubject> {
  const clockUs = () => Math.round(clock.nowMs * 1_000);
  const { store, connection, options, close } = await openOnRedis(url, (opened, given) =>
    createRedisRateStore(opened, { ...given, clockUs }),
  );
  return { store, other: createRedisRateStore(connection, { ...options, clockUs }), close };
}
