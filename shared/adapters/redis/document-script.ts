/**
 * The operations on definitions that are more than one command.
 *
 * Documents are a hash, tenant to "version document"; the revision is a number; which revision changed each tenant's
 * last is a sorted set; reports are a hash, consumer to
 * "atMs expiresAtMs report", milliseconds since the epoch by the server's clock.
 */
import { script } from "./redis-calls.ts";

const prelude = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Lua writes large numbers as 1.7e+12.
local function integer(number) return string.format('%.0f', number) end
`;

/** KEYS: documents, revision, changes. ARGV: a revision. Answers {revision, tenants and values in turn}. */
export const changedAfterScript = script(`
local changed = {}
for index, tenant in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf')) do
  changed[2 * index - 1] = tenant
  changed[2 * index] = redis.call('HGET', KEYS[1], tenant)
end
return { redis.call('GET', KEYS[2]), changed }
`);

/**
 * KEYS: documents, revision, changes. ARGV: tenant, expected version, next version, document. Answers 1, or 0 when the
 * stored version is another than expected.
 * A revision is not less than the time: one that was given and lost, as a server that restarts may lose its last
 * second, is not given again to something else, which who has seen the first would never notice.
 */
export const replaceScript = script(`${prelude}
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local version = stored and tonumber(string.match(stored, '^%d+')) or 0
if version ~= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
local revision = tonumber(redis.call('GET', KEYS[2]) or '0')
revision = integer(math.max(revision + 1, now))
redis.call('SET', KEYS[2], revision)
redis.call('ZADD', KEYS[3], revision, ARGV[1])
return 1
`);

/** KEYS: reports. ARGV: consumer, report, ttlMs. Removes what is over. */
export const reportScript = script(`${prelude}
local all = redis.call('HGETALL', KEYS[1])
for index = 1, #all, 2 do
  if tonumber(string.match(all[index + 1], '^%d+ (%d+)')) <= now then redis.call('HDEL', KEYS[1], all[index]) end
end
redis.call('HSET', KEYS[1], ARGV[1], integer(now) .. ' ' .. integer(now + tonumber(ARGV[3])) .. ' ' .. ARGV[2])
`);

/** KEYS: reports. Answers consumers and values in turn, those that are not over. Writes nothing. */
export const reportsScript = script(`${prelude}
local all, live = redis.call('HGETALL', KEYS[1]), {}
for index = 1, #all, 2 do
  if tonumber(string.match(all[index + 1], '^%d+ (%d+)')) > now then
    live[#live + 1] = all[index]
    live[#live + 1] = all[index + 1]
  end
end
return live
`);
