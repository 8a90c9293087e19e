import { Redis } from "ioredis";
import type { Update } from "../../shared/domain/envelope.ts";
import { until } from "../../test/support/until.ts";
import type { KeptProfile } from "./peer.ts";
import { emptyProfile, fold, keptOf, type PlainProfile } from "./plain-profile.ts";

/** Profiles of users as JSON texts in Redis, one key each. */
export type RedisProfiles = {
  redis: Redis;
  /** GET, fold, SET. One at a time for a user is the caller's business. */
  apply(update: Update): Promise<void>;
  read(userIds: readonly string[]): Promise<Map<string, KeptProfile>>;
  /** Resolves when a user has a profile, asked for once a millisecond. */
  untilThere(userId: string): Promise<void>;
  /** As in `OpenPeer`. */
  overlapped(): Promise<number>;
  close(): Promise<void>;
};

/**
 * @param prefix starts the keys of a run.
 * @param traced notes with each write, in the same transaction, how many writes the profile had that it is based on.
 */
export function openRedisProfiles(redisUrl: string, prefix: string, traced = false): RedisProfiles {
  // What its documentation advises for many calls side by side: those of one turn of the event loop leave together.
  const redis = new Redis(redisUrl, { enableAutoPipelining: true });
  const keyOf = (userId: string) => `${prefix}:profile:${userId}`;
  const traceOf = (userId: string) => `${prefix}:trace:${userId}`;
  return {
    redis,
    async apply(update) {
      const key = keyOf(update.userId);
      const text = await redis.get(key);
      const profile = text === null ? emptyProfile() : (JSON.parse(text) as PlainProfile);
      const { writes } = profile;
      const folded = JSON.stringify(fold(profile, update));
      if (traced) await redis.multi().set(key, folded).rpush(traceOf(update.userId), writes).exec();
      else await redis.set(key, folded);
    },
    async read(userIds) {
      const found = new Map<string, KeptProfile>();
      const texts = userIds.length === 0 ? [] : await redis.mget(userIds.map(keyOf));
      for (const [index, text] of texts.entries())
        if (text !== null) found.set(userIds[index]!, keptOf(JSON.parse(text) as PlainProfile));
      return found;
    },
    untilThere: (userId) =>
      until(`${userId} is visible`, async () => (await redis.exists(keyOf(userId))) === 1, { everyMs: 1 }),
    async overlapped() {
      let stale = 0;
      for (const key of await redis.keys(`${traceOf("")}*`)) {
        const based = await redis.lrange(key, 0, -1);
        stale += based.length - new Set(based).size;
      }
      return stale;
    },
    async close() {
      await redis.quit();
    },
  };
}
