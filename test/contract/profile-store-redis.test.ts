/** The profile store on Redis servers of the test's own, which it breaks. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { installRedis, type RedisServer, startRedis, withRedis } from "../../deploy/local/redis.ts";
import { type RedisCluster, startRedisCluster } from "../../deploy/local/redis-cluster.ts";
import { openRedis, type RedisConnection } from "../../shared/adapters/redis/redis-connection.ts";
import { createRedisProfileStore } from "../../shared/adapters/redis/redis-profile-store.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import { someUser, writeOf } from "./profile-store.ts";

const commandTimeoutMs = 300;
const options = { stallTimeoutMs: 300, connectTimeoutMs: 300, maxReconnectDelayMs: 100 };
const failed = { outcome: "failed", error: { code: "store_unavailable", retryable: true } };
const saved = { outcome: "saved" };
const recovery = { timeout: 10_000 };

let directory: string;
const cleanUps: (() => unknown)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "keyline-profiles-"));
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await rm(directory, { recursive: true });
});

describe("profile store: a Redis that fails", () => {
  let server: RedisServer;
  let store: ProfileStore;
  let connection: RedisConnection;

  beforeEach(async () => {
    server = await start();
    ({ store, connection } = open(server.urls.redis));
    await vi.waitFor(() => store.ping(), recovery);
  });

  async function start(port?: number): Promise<RedisServer> {
    const started = await startRedis(await installRedis(() => {}), {
      directory,
      ...(port === undefined ? {} : { port }),
    });
    cleanUps.push(() => started.stop());
    return started;
  }

  const portOf = (running: RedisServer) => Number(new URL(running.urls.redis).port);
  const configure = (...command: [string, ...string[]]) =>
    withRedis(portOf(server), (redis) => redis.call(...command));

  it("fails while it is gone, and goes on by itself when it is back", async () => {
    const user = someUser();
    await store.save([writeOf(user, { version: "one" })]);
    await server.stop();
    expect(await store.save([writeOf(someUser()), writeOf(someUser())])).toMatchObject([failed, failed]);
    await expect(store.load(user)).rejects.toMatchObject({ code: "store_unavailable" });
    await expect(store.ping()).rejects.toMatchObject({ code: "store_unavailable" });
    server = await start(portOf(server));
    await vi.waitFor(() => store.ping(), recovery);
    expect(await store.load(user)).toMatchObject({ version: "one" });
    // Its scripts went with the process.
    expect(await store.save([writeOf(user, { expectedVersion: "one" })])).toEqual([saved]);
  });

  it("fails in time while it hangs, keeps nothing of what it was asked, and goes on when it wakes", async () => {
    server.kill("SIGSTOP");
    cleanUps.push(() => server.kill("SIGCONT"));
    const startedMs = performance.now();
    expect(await store.save([writeOf(someUser())])).toMatchObject([failed]);
    expect(performance.now() - startedMs).toBeLessThan(commandTimeoutMs + 1_000);
    await expect(store.ping()).rejects.toMatchObject({ code: "store_unavailable" });
    await vi.waitFor(() => {
      if (connection.client.kind !== "single") throw new Error("one server was expected");
      const { commandQueue, offlineQueue } = connection.client.redis as unknown as Record<
        string,
        { length: number }
      >;
      expect([commandQueue?.length, offlineQueue?.length]).toEqual([0, 0]);
    }, recovery);
    server.kill("SIGCONT");
    await vi.waitFor(() => store.ping(), recovery);
    expect(await store.save([writeOf(someUser())])).toEqual([saved]);
  });

  it("fails what is under way when it is killed", async () => {
    server.kill("SIGSTOP");
    const saving = store.save([writeOf(someUser())]);
    server.kill("SIGKILL");
    expect(await saving).toMatchObject([failed]);
  });

  it("goes on when the scripts are flushed between two saves", async () => {
    const users = Array.from({ length: 100 }, someUser);
    for (let round = 0; round < 5; round++) {
      await configure("SCRIPT", "FLUSH");
      const expectedVersion = round === 0 ? undefined : `${round - 1}`;
      const results = await store.save(
        users.map((user) =>
          writeOf(user, { version: `${round}`, ...(expectedVersion ? { expectedVersion } : {}) }),
        ),
      );
      expect(results).toEqual(users.map(() => saved));
    }
  });

  it("fails when it is full, and goes on when there is room", async () => {
    const user = someUser();
    await store.save([writeOf(user, { version: "one" })]);
    await configure("CONFIG", "SET", "maxmemory", "1");
    const results = await store.save([writeOf(user, { expectedVersion: "one" }), writeOf(someUser())]);
    expect(results).toMatchObject([failed, failed]);
    expect(results).toMatchObject([{ error: { message: expect.stringContaining("OOM") } }, {}]);
    await expect(store.ping()).rejects.toMatchObject({ message: expect.stringContaining("OOM") });
    expect(await store.load(user)).toMatchObject({ version: "one" });
    await configure("CONFIG", "SET", "maxmemory", "0");
    expect(await store.save([writeOf(user, { expectedVersion: "one" })])).toEqual([saved]);
  });

  it("fails when it is a replica, and goes on when it is a primary", async () => {
    await configure("REPLICAOF", "127.0.0.1", "1");
    expect(await store.save([writeOf(someUser())])).toMatchObject([failed]);
    await vi.waitFor(async () => {
      await expect(store.ping()).rejects.toMatchObject({ message: expect.stringContaining("READONLY") });
    }, recovery);
    await configure("REPLICAOF", "NO", "ONE");
    await vi.waitFor(() => store.ping(), recovery);
    expect(await store.save([writeOf(someUser())])).toEqual([saved]);
  });

  it("fails only the user whose key is something else", async () => {
    const users = [someUser(), someUser(), someUser()] as const;
    await configure("SET", `kl:{shop:${users[1].userId}}`, "not a profile");
    expect(await store.save(users.map((user) => writeOf(user)))).toMatchObject([saved, failed, saved]);
  });

  it("opens while it is away, and says why it cannot", async () => {
    const nowhere = open("redis://user:secret@127.0.0.1:1");
    await vi.waitFor(async () => {
      await expect(nowhere.store.ping()).rejects.toMatchObject({
        message: expect.stringContaining("ECONNREFUSED"),
      });
    }, recovery);
    expect(nowhere.store.description).not.toContain("secret");
  });
});

describe("profile store: a Redis Cluster that changes", () => {
  let cluster: RedisCluster;
  let store: ProfileStore;
  const users = Array.from({ length: 300 }, someUser);

  beforeEach(async () => {
    cluster = await startRedisCluster(await installRedis(() => {}), { directory });
    cleanUps.push(() => cluster.stop());
    ({ store } = open(cluster.urls.redisCluster));
    await vi.waitFor(() => store.ping(), recovery);
  });

  const saveAll = (expectedVersion: string | undefined, version: string) =>
    store.save(users.map((user) => writeOf(user, { expectedVersion, version })));

  it("follows a slot that moves, while it moves and after", async () => {
    const [source, target] = cluster.ports.clients as [number, number];
    const user = { tenant: "shop", userId: "mover" };
    const slot = await withRedis(source, (redis) => redis.cluster("KEYSLOT", "kl:{shop:mover}"));
    const owner = cluster.ports.clients[Math.floor((Number(slot) * 3) / 16_384)] as number;
    const other = owner === source ? target : source;
    await store.save([writeOf(user, { version: "one" })]);
    const idOf = (port: number) =>
      withRedis(port, (redis) => redis.call("CLUSTER", "MYID")) as Promise<string>;
    const [ownerId, otherId] = await Promise.all([idOf(owner), idOf(other)]);
    await withRedis(other, (redis) => redis.call("CLUSTER", "SETSLOT", slot, "IMPORTING", ownerId));
    await withRedis(owner, (redis) => redis.call("CLUSTER", "SETSLOT", slot, "MIGRATING", otherId));
    await withRedis(owner, (redis) => redis.migrate("127.0.0.1", other, "kl:{shop:mover}", 0, 5_000));
    // ASK
    const writes = [writeOf(user, { expectedVersion: "one", version: "two" }), writeOf(someUser())];
    expect(await store.save(writes)).toEqual([saved, saved]);
    for (const port of [other, owner]) {
      await withRedis(port, (redis) => redis.call("CLUSTER", "SETSLOT", slot, "NODE", otherId));
    }
    // MOVED
    expect(await store.save([writeOf(user, { expectedVersion: "two", version: "three" })])).toEqual([saved]);
    expect(await store.load(user)).toMatchObject({ version: "three" });
  });

  it("fails only the users of the server that hangs, and goes on when it wakes", async () => {
    expect(await saveAll(undefined, "one")).toEqual(users.map(() => saved));
    const [first] = cluster.masters;
    first?.kill("SIGSTOP");
    cleanUps.push(() => first?.kill("SIGCONT"));
    const outcomes = (await saveAll("one", "two")).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === "failed").length).toBeGreaterThan(50);
    expect(outcomes.filter((outcome) => outcome === "saved").length).toBeGreaterThan(100);
    await expect(store.ping()).rejects.toMatchObject({ code: "store_unavailable" });
    first?.kill("SIGCONT");
    await vi.waitFor(() => store.ping(), recovery);
    // Those of the server that hung were asked of it before it woke, and may be saved.
    const results = await saveAll("two", "three");
    for (const [index, result] of results.entries()) {
      if (outcomes[index] === "saved") expect(result).toEqual(saved);
      else expect(result.outcome).not.toBe("failed");
    }
  });

  it("loads its script into each server again", async () => {
    for (const port of cluster.ports.clients) await withRedis(port, (redis) => redis.call("SCRIPT", "FLUSH"));
    expect(await saveAll(undefined, "one")).toEqual(users.map(() => saved));
  });
});

function open(url: string): { store: ProfileStore; connection: RedisConnection } {
  const connection = openRedis(url, options);
  cleanUps.push(() => connection.close());
  const store = createRedisProfileStore(connection, { keyPrefix: "kl:", commandTimeoutMs });
  cleanUps.push(() => store.close());
  return { store, connection };
}
