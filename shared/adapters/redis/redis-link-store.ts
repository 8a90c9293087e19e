/** Links in Redis: a set for each user who has some, beside the user's profile. */
import type { LinkStore } from "../../ports/link-store.ts";
import { assertKeyPrefix, linksKey } from "./profile-key.ts";
import { type RedisStoreOptions, runAllCalls, script } from "./redis-calls.ts";
import type { RedisConnection } from "./redis-connection.ts";

/** KEYS: the user's set. ARGV: the other record, the limit. Answers 1 where it is linked. */
const linkScript = script(`
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return 1 end
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
return redis.call('SADD', KEYS[1], ARGV[1])
`);

/**
 * `close` leaves the connection open; it is its opener's to close.
 * @throws KeylineError `bad_key_prefix`
 */
export function createRedisLinkStore(
  connection: RedisConnection,
  { keyPrefix, commandTimeoutMs }: RedisStoreOptions,
): LinkStore {
  assertKeyPrefix(keyPrefix);
  return {
    async link(links, limit) {
      const calls = links.map(({ linkedId, ...user }) => {
        const key = linksKey(keyPrefix, user);
        return { key, script: linkScript, keyCount: 1, args: [key, linkedId, limit] };
      });
      const replies = await runAllCalls(connection, calls, commandTimeoutMs);
      return replies.map((reply) => Number(reply) === 1);
    },
    async close() {},
  };
}
