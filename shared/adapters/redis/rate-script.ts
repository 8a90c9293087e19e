/**
 * Taking tokens from a bucket and giving them back, each in one step by the server's clock, which is the one that all
 * gateways share.
 * The rule is `takeTokens` of shared/domain/token-bucket.ts; a property test holds the two together.
 */
import { script } from "./redis-calls.ts";

/**
 * KEYS: the bucket, the moment at which it would have been empty. ARGV: now or "" for the server's clock, what the
 * tokens cost, what an empty bucket takes to fill; all whole microseconds. Answers 0 or how many milliseconds to wait.
 * A bucket that is full by the limit of the last call is gone; a refusal may put that off, never hasten it.
 */
export const takeScript = script(`
local now, cost, fill = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
-- Lua writes large numbers as 1.7e+15.
local function integer(number) return string.format('%.0f', number) end
local function untilFull(empty) return integer(math.ceil((empty + fill - now) / 1000)) end
local stored = tonumber(redis.call('GET', KEYS[1]) or '0')
local before = math.max(math.min(stored, now), now - fill)
local after = before + cost
if after <= now then
  redis.call('SET', KEYS[1], integer(after), 'PX', untilFull(after))
  return 0
end
if before < stored then
  redis.call('SET', KEYS[1], integer(before), 'PX', untilFull(before))
else
  redis.call('PEXPIRE', KEYS[1], untilFull(before), 'GT')
end
return math.ceil((after - now) / 1000)
`);

/** KEYS: the bucket. ARGV: what the tokens cost, in whole microseconds. A bucket that is gone is full; one that is not goes no later. */
export const giveBackScript = script(`
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECRBY', KEYS[1], ARGV[1]) end
`);
