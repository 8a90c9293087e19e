/** Compare-and-set of many profiles in one script call. */
import { AUDIENCES_FIELD } from "../../domain/calculated.ts";
import type { ProfileWrite } from "../../ports/profile-store.ts";
import { script } from "./redis-calls.ts";

/** The fields of a profile's hash that are not attributes. Attributes that begin with `$` get a second one. */
export const versionField = "$v";
export const machineryField = "$m";

/**
 * KEYS: the profiles. ARGV, for each: the expected version ("" for no record), the version and machinery to save,
 * how many fields to remove (-1 for all), how many arguments of fields to set, the fields to remove, the fields to
 * set as name and value.
 * Answers for each: 1 when saved, {version, machinery} as they are on a conflict, an error's text on an error.
 * An error leaves its profile as it was, as Redis refuses the first write or none, and harms no other.
 */
export const saveScript = script(`
local function save(key, first, removeCount, setCount)
  if (redis.call('HGET', key, '$v') or '') ~= ARGV[first] then
    return redis.call('HMGET', key, '$v', '$m')
  end
  local removeFrom = first + 5
  if removeCount < 0 then
    -- First a write that a full server refuses: UNLINK it would allow.
    redis.call('HSET', key, '$v', ARGV[first + 1])
    redis.call('UNLINK', key)
    removeCount = 0
  end
  local setFrom = removeFrom + removeCount
  local setTo = setFrom + setCount - 1
  -- Slices, as Lua unpacks some 8,000 values at most.
  redis.call('HSET', key, '$v', ARGV[first + 1], '$m', ARGV[first + 2],
    unpack(ARGV, setFrom, math.min(setFrom + 3999, setTo)))
  for from = setFrom + 4000, setTo, 4000 do
    redis.call('HSET', key, unpack(ARGV, from, math.min(from + 3999, setTo)))
  end
  for from = removeFrom, setFrom - 1, 4000 do
    redis.call('HDEL', key, unpack(ARGV, from, math.min(from + 3999, setFrom - 1)))
  end
  return 1
end
local replies = {}
local first = 1
for index, key in ipairs(KEYS) do
  local removeCount, setCount = tonumber(ARGV[first + 3]), tonumber(ARGV[first + 4])
  local ok, reply = pcall(save, key, first, removeCount, setCount)
  if not ok and type(reply) == 'table' then reply = reply.err end
  replies[index] = reply
  first = first + 5 + math.max(removeCount, 0) + setCount
end
return replies
`);

export function appendSaveArguments(args: (string | number)[], write: ProfileWrite): void {
  const { expectedVersion, version, machinery, setAttributes, replacesAttributes = false } = write;
  const removed = replacesAttributes ? [] : write.removeAttributes;
  const removeCount = replacesAttributes ? -1 : removed.length;
  args.push(expectedVersion ?? "", version, machinery, removeCount, 2 * setAttributes.length);
  for (const name of removed) args.push(attributeField(name));
  for (const [name, json] of setAttributes) args.push(attributeField(name), json);
}

function attributeField(name: string): string {
  return name.startsWith("$") && name !== AUDIENCES_FIELD ? `$${name}` : name;
}
