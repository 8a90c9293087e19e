/** Token buckets in Redis: a key a bucket, which is gone when the bucket is full; see rate-script.ts. */
import { priceTokens } from "../../domain/token-bucket.ts";
import type { RateStore } from "../../ports/rate-store.ts";
import { assertKeyPrefix, rateKey } from "./profile-key.ts";
import { giveBackScript, takeScript } from "./rate-script.ts";
import { type RedisStoreOptions, runCall } from "./redis-calls.ts";
import type { RedisConnection } from "./redis-connection.ts";

export type RedisRateStoreOptions = RedisStoreOptions & {
  /** Whole microseconds since the epoch; for tests. Default: the clock of the Redis server. */
  clockUs?: () => number;
};

/**
 * What is never there is refused without asking Redis. `close` leaves the connection open; it is its opener's to close.
 * @throws KeylineError `bad_key_prefix`
 */
export function createRedisRateStore(connection: RedisConnection, options: RedisRateStoreOptions): RateStore {
  const { keyPrefix, commandTimeoutMs, clockUs } = options;
  assertKeyPrefix(keyPrefix);
  return {
    async take(bucket, tokens, limit) {
      const price = priceTokens(tokens, limit);
      if (price === undefined) return Number.POSITIVE_INFINITY;
      const key = rateKey(keyPrefix, bucket);
      const args = [key, clockUs?.() ?? "", price.costUs, price.fillUs];
      return Number(
        await runCall(connection, { key, script: takeScript, keyCount: 1, args }, commandTimeoutMs),
      );
    },
    async giveBack(bucket, tokens, limit) {
      const price = priceTokens(tokens, limit);
      if (price === undefined) return;
      const key = rateKey(keyPrefix, bucket);
      const args = [key, price.costUs];
      await runCall(connection, { key, script: giveBackScript, keyCount: 1, args }, commandTimeoutMs);
    },
    async close() {},
  };
}
