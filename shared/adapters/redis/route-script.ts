/**
 * The operations on the fleet's route, each one script, so that a change and its audit line are one step.
 * The rule is `shared/routing/fleet-decision.ts`; a property test holds the two together.
 *
 * KEYS: state (a hash), votes (a hash: voter to "expiresAtMs route subscription reason",
 * subscription "-" where the voter does not see it), audit log (a stream).
 * ARGV[1]: now in milliseconds since the epoch, or "" for the server's clock, which is the one that a fleet
 * with skewed clocks shares.
 */
import { maxOpenings, openingWindowMs } from "../../routing/fleet-decision.ts";
import { script } from "./redis-calls.ts";

/** Lines that the audit log keeps, about. */
const maxAuditLines = 10_000;

const prelude = `
local state, votes, auditLog = KEYS[1], KEYS[2], KEYS[3]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
-- Lua writes large numbers as 1.7e+12.
local function integer(number) return string.format('%.0f', number) end
local function audit(action, route, name, reason, expiresAt)
  redis.call('XADD', auditLog, 'MAXLEN', '~', ${maxAuditLines}, '*', 'atMs', integer(now), 'action', action,
    'route', route, 'name', name, 'reason', reason, 'expiresAtMs', expiresAt or '')
end
local function endOverride()
  redis.call('HDEL', state, 'overrideRoute', 'overrideReason', 'overrideName', 'overrideSetAtMs', 'overrideExpiresAtMs')
end
local ending = redis.call('HMGET', state, 'overrideExpiresAtMs', 'overrideName', 'overrideReason')
if ending[1] and tonumber(ending[1]) <= now then
  endOverride()
  audit('expire', 'auto', ending[2], ending[3], ending[1])
end
local function read()
  return { integer(now), redis.call('HMGET', state, 'route', 'sinceMs', 'overrideRoute', 'overrideReason',
    'overrideName', 'overrideSetAtMs', 'overrideExpiresAtMs'), redis.call('HGETALL', votes) }
end
`;

/** ARGV: now, voter, route, reason, ttlMs, subscription. */
export const voteScript = script(`${prelude}
local voter, route, reason, ttl = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local silent, before = true, redis.call('HVALS', votes)
for index = 1, #before do
  if tonumber(string.match(before[index], '^%d+')) > now then silent = false end
end
if silent then redis.call('HSET', state, 'heardSinceMs', integer(now)) end
redis.call('HSET', votes, voter, integer(now + ttl) .. ' ' .. route .. ' ' .. ARGV[6] .. ' ' .. reason)
local all, live, forSqs, watching, bad = redis.call('HGETALL', votes), 0, 0, 0, 0
for index = 1, #all, 2 do
  local expiresAt, cast, subscription = string.match(all[index + 1], '^(%d+) (%a+) (%S*)')
  if tonumber(expiresAt) <= now then
    redis.call('HDEL', votes, all[index])
  else
    live = live + 1
    if cast == 'sqs' then forSqs = forSqs + 1 end
    if subscription == 'good' or subscription == 'bad' then watching = watching + 1 end
    if subscription == 'bad' then bad = bad + 1 end
  end
end
local fleet = redis.call('HMGET', state, 'route', 'openingsMs', 'heardSinceMs')
local current, openings = fleet[1] or 'pulsar', {}
for opened in string.gmatch(fleet[2] or '', '%d+') do
  if now - tonumber(opened) < ${openingWindowMs} then openings[#openings + 1] = opened end
end
local majority, target = forSqs * 2 > live or bad * 2 > watching, nil
local heardFor = now - tonumber(fleet[3] or '0')
local rests = heardFor >= 0 and heardFor < ttl
if current == 'pulsar' and majority and not rests then
  target = 'sqs'
  openings[#openings + 1] = integer(now)
elseif current == 'sqs' and not rests and not majority and #openings < ${maxOpenings} then
  target = 'pulsar'
end
if target then
  redis.call('HSET', state, 'route', target, 'sinceMs', integer(now), 'openingsMs', table.concat(openings, ','))
  local because = bad > 0 and ', ' .. bad .. ' of ' .. watching .. ' consumers for the subscription' or ''
  audit('fleet', target, 'fleet', forSqs .. ' of ' .. live .. ' votes for sqs' .. because .. ': ' .. reason)
end
return read()
`);

/** ARGV: now, route, reason, name, expiresInMs. */
export const overrideScript = script(`${prelude}
local expiresAt = integer(now + tonumber(ARGV[5]))
redis.call('HSET', state, 'overrideRoute', ARGV[2], 'overrideReason', ARGV[3], 'overrideName', ARGV[4],
  'overrideSetAtMs', integer(now), 'overrideExpiresAtMs', expiresAt)
audit('override', ARGV[2], ARGV[4], ARGV[3], expiresAt)
return read()
`);

/** ARGV: now, reason, name. */
export const clearOverrideScript = script(`${prelude}
endOverride()
audit('clear', 'auto', ARGV[3], ARGV[2])
return read()
`);

/** ARGV: now. */
export const readScript = script(`${prelude}
return read()
`);

/** ARGV: now, limit. */
export const auditScript = script(`${prelude}
return redis.call('XREVRANGE', auditLog, '+', '-', 'COUNT', ARGV[2])
`);

/** ARGV: now, voter. */
export const withdrawScript = script(`
return redis.call('HDEL', KEYS[2], ARGV[2])
`);
