/** The stores for definitions on Redis servers of the test's own, which it breaks. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { installRedis, startRedis, withRedis } from "../../deploy/local/redis.ts";
import { startRedisCluster } from "../../deploy/local/redis-cluster.ts";
import { openRedis } from "../../shared/adapters/redis/redis-connection.ts";
import { createRedisDocumentStore } from "../../shared/adapters/redis/redis-document-store.ts";
import { createRedisDueStore } from "../../shared/adapters/redis/redis-due-store.ts";
import { createRedisMemberStore } from "../../shared/adapters/redis/redis-member-store.ts";
import { versionOf } from "./document-store.ts";
import { dueAt } from "./due-store.ts";
import { changeOf } from "./member-store.ts";

const recovery = { timeout: 10_000 };
const away = { code: "store_unavailable", retryable: true };

let directory: string;
const cleanUps: (() => unknown)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "keyline-definitions-"));
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await rm(directory, { recursive: true });
});

function open(url: string) {
  const connection = openRedis(url, {
    stallTimeoutMs: 300,
    connectTimeoutMs: 300,
    maxReconnectDelayMs: 100,
  });
  cleanUps.push(() => connection.close());
  const options = { keyPrefix: "kl:", commandTimeoutMs: 300 };
  return {
    definitions: createRedisDocumentStore(connection, "definitions", options),
    due: createRedisDueStore(connection, options),
    members: createRedisMemberStore(connection, options),
  };
}

async function start(port?: number) {
  const started = await startRedis(await installRedis(() => {}), { directory, ...(port && { port }) });
  cleanUps.push(() => started.stop());
  return started;
}

const users = Array.from({ length: 200 }, (_, index) => `user-${index}`);
const entries = users.map((user, index) => dueAt(index, user));

describe("stores for definitions: a Redis that fails", () => {
  it("reject while it is gone, and have everything when it is back", async () => {
    const server = await start();
    const { definitions, due, members } = open(server.urls.redis);
    await vi.waitFor(() => definitions.revision(), recovery);
    await definitions.replace("shop", 0, versionOf(1, "{}"));
    await due.add(entries);
    await due.claim(1_000, 100, 500);
    await members.record(users.map((user) => changeOf(user, 1)));
    await server.stop();
    for (const work of [
      () => definitions.revision(),
      () => definitions.changedAfter(-1),
      () => definitions.replace("shop", 1, versionOf(2, "[]")),
      () => definitions.reports(),
      () => due.add(entries),
      () => due.claim(1_000, 10, 500),
      () => due.done(entries),
      () => due.waiting(),
      () => members.record([changeOf("a", 1)]),
      () => members.count(changeOf("", 0)),
      () => members.page(changeOf("", 0), undefined, 10),
      () => members.drop(changeOf("", 0)),
    ]) {
      await expect(work()).rejects.toMatchObject(away);
    }
    await start(Number(new URL(server.urls.redis).port));
    await vi.waitFor(() => definitions.revision(), recovery);
    // Its scripts went with the process.
    expect(await definitions.replace("shop", 1, versionOf(2, "[]"))).toBe(true);
    expect(await due.claim(1_000, 1_000, 500)).toHaveLength(100);
    expect(await due.claim(1_500, 1_000, 500)).toHaveLength(200);
    await members.record([changeOf(users[0]!, 2)]);
    expect(await members.count(changeOf("", 0))).toBe(199);
  });

  it("can be read while it takes no writes", async () => {
    const server = await start();
    const { definitions, due, members } = open(server.urls.redis);
    await vi.waitFor(() => definitions.report("a", "{}", 60_000), recovery);
    await definitions.replace("shop", 0, versionOf(1, "{}"));
    const port = Number(new URL(server.urls.redis).port);
    await withRedis(port, (redis) => redis.call("CONFIG", "SET", "maxmemory", "1"));
    await expect(definitions.replace("shop", 1, versionOf(2, "[]"))).rejects.toMatchObject(away);
    await expect(due.add(entries)).rejects.toMatchObject(away);
    await expect(members.record([changeOf("a", 1)])).rejects.toMatchObject(away);
    expect(await definitions.changedAfter(-1)).toMatchObject({
      documents: new Map([["shop", { version: 1, document: "{}" }]]),
    });
    expect(await definitions.reports()).toMatchObject([{ consumer: "a" }]);
    expect(await due.waiting()).toEqual({ entries: 0, earliestMs: undefined });
    expect(await members.count(changeOf("", 0))).toBe(0);
  });
});

describe("stores for definitions: a Redis Cluster of which a server hangs", () => {
  it("goes on claiming what the others have, and loses nothing", async () => {
    const cluster = await startRedisCluster(await installRedis(() => {}), { directory });
    cleanUps.push(() => cluster.stop());
    const { due, members } = open(cluster.urls.redisCluster);
    await vi.waitFor(() => due.add(entries), recovery);
    const [first] = cluster.masters;
    first?.kill("SIGSTOP");
    cleanUps.push(() => first?.kill("SIGCONT"));
    const claimed = await due.claim(1_000, 1_000, 500);
    expect(claimed.length).toBeGreaterThan(20);
    expect(claimed.length).toBeLessThan(180);
    await expect(due.claim(1_000, 1_000, 500)).rejects.toMatchObject(away);
    await expect(due.waiting()).rejects.toMatchObject(away);
    await expect(members.count(changeOf("", 0))).rejects.toMatchObject(away);
    first?.kill("SIGCONT");
    await vi.waitFor(() => due.waiting(), recovery);
    expect((await due.claim(1_500, 1_000, 500)).map(({ userId }) => userId)).toEqual(users);
  });
});
