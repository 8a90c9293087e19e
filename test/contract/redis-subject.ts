/** A store on a Redis of the test servers, under a prefix of its own. */
import { randomUUID } from "node:crypto";
import { vi } from "vitest";
import type { RedisStoreOptions } from "../../shared/adapters/redis/redis-calls.ts";
import { openRedis, type RedisConnection } from "../../shared/adapters/redis/redis-connection.ts";
import { createRedisProfileStore } from "../../shared/adapters/redis/redis-profile-store.ts";

export type OnRedis<Store> = {
  store: Store;
  connection: RedisConnection;
  options: RedisStoreOptions;
  close(): Promise<void>;
};

export async function openOnRedis<Store>(
  url: string,
  create: (connection: RedisConnection, options: RedisStoreOptions) => Store,
): Promise<OnRedis<Store>> {
  const connection = openRedis(url);
  const options = { keyPrefix: `test-${randomUUID()}:`, commandTimeoutMs: 5_000 };
  const { ping } = createRedisProfileStore(connection, options);
  await vi.waitFor(ping, { timeout: 10_000 });
  return { store: create(connection, options), connection, options, close: () => connection.close() };
}
