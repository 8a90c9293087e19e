/** Recording changes of one shard of an audience version, in one step. */
import { script } from "./redis-calls.ts";

/**
 * KEYS: numbers (a hash: user to the number of the last change), members (a sorted set with score 0 of those whose
 * number is odd). ARGV: how many users, the users, their numbers in the same order; each user once, at most 1,000.
 */
export const recordScript = script(`
local count = tonumber(ARGV[1])
local stored = redis.call('HMGET', KEYS[1], unpack(ARGV, 2, 1 + count))
local numbers, entered, left = {}, {}, {}
for index = 1, count do
  local user, number = ARGV[1 + index], ARGV[1 + count + index]
  if tonumber(number) > tonumber(stored[index] or '0') then
    numbers[#numbers + 1] = user
    numbers[#numbers + 1] = number
    if tonumber(number) % 2 == 1 then
      entered[#entered + 1] = '0'
      entered[#entered + 1] = user
    else
      left[#left + 1] = user
    end
  end
end
if #numbers > 0 then redis.call('HSET', KEYS[1], unpack(numbers)) end
if #entered > 0 then redis.call('ZADD', KEYS[2], unpack(entered)) end
if #left > 0 then redis.call('ZREM', KEYS[2], unpack(left)) end
`);
