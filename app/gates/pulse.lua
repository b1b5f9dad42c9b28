-- Adds a batch of completed calls to a deployment's live averages, for its task kind and for all kinds together.
--
-- KEYS   1 the stem, `gate:{pulse:<deployment>}`
--   :all, :<kind>  hash  of integers: calls; latency_ms, tokens, input, guessed: sums over those calls;
--                  high: most output tokens of a call lately. When calls pass MEMORY all sums are halved, so an
--                  average is of the last few hundred calls and old weather fades.
-- ARGV   1 clock or '' (unused)   2 task kind   3 calls   4 latency ms   5 tokens   6 input tokens as counted
--        7 input tokens as guessed   8 most output tokens of any of these calls
-- Returns the calls now behind the kind's averages.

local MEMORY, IDLE_MS = 200, 7 * 86400000
local FADE = 50 -- over about this many calls `high` sinks to what is usual now

local names = {'calls', 'latency_ms', 'tokens', 'input', 'guessed', 'high'}
local batch, top = tonumber(ARGV[3]), tonumber(ARGV[8])
local seen
for _, suffix in ipairs({':all', ':' .. ARGV[2]}) do
  local key = KEYS[1] .. suffix
  local old = redis.call('HMGET', key, unpack(names))
  local sums = {}
  for i = 1, 5 do sums[i] = tonumber(old[i] or 0) + tonumber(ARGV[2 + i]) end
  while sums[1] > MEMORY do
    for i = 1, 5 do sums[i] = math.ceil(sums[i] / 2) end
  end
  local high = tonumber(old[6] or 0)
  high = math.max(top, math.ceil(high - (high - top) * batch / (batch + FADE)))
  redis.call('HSET', key, 'calls', int(sums[1]), 'latency_ms', int(sums[2]), 'tokens', int(sums[3]),
    'input', int(sums[4]), 'guessed', int(sums[5]), 'high', int(high))
  redis.call('PEXPIRE', key, int(IDLE_MS))
  seen = sums[1]
end
return seen
