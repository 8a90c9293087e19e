/** Taking what is due of one shard, in one step. */
import { script } from "./redis-calls.ts";

/**
 * KEYS: a shard, a sorted set of entries by the moment from which on they can be taken. ARGV: now, limit, the end of
 * the hold; moments in milliseconds since the epoch. Answers what it took, the earliest first.
 * An entry is held by a later moment in its score; its due moment stands in the entry itself.
 */
export const claimScript = script(`
local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for index = 1, #due do redis.call('ZADD', KEYS[1], ARGV[3], due[index]) end
return due
`);
