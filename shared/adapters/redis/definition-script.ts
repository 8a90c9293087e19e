/**
 * The operations on definitions that are more than one command.
 *
 * Documents are a hash, tenant to "version document"; the revision is a number; reports are a hash, consumer to
 * "atMs expiresAtMs report", milliseconds since the epoch by the server's clock.
 */
import { script } from "./redis-calls.ts";

const prelude = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Lua writes large numbers as 1.7e+12.
local function integer(number) return string.format('%.0f', number) end
`;

/** KEYS: documents, revision. Answers {revision, tenants and values in turn}. */
export const allScript = script(`
return { redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[1]) }
`);

/**
 * KEYS: documents, revision. ARGV: tenant, expected version, document. Answers the new version, or nothing when the
 * stored one is another.
 * A revision is not less than the time: one that was given and lost, as a server that restarts may lose its last
 * second, is not given again to something else, which who has seen the first would never notice.
 */
export const replaceScript = script(`${prelude}
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local version = stored and tonumber(string.match(stored, '^%d+')) or 0
if version ~= tonumber(ARGV[2]) then return false end
redis.call('HSET', KEYS[1], ARGV[1], integer(version + 1) .. ' ' .. ARGV[3])
local revision = tonumber(redis.call('GET', KEYS[2]) or '0')
redis.call('SET', KEYS[2], integer(math.max(revision + 1, now)))
return version + 1
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
