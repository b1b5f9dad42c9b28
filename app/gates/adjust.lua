-- Corrects a reservation once its calls have ended (true-up) or were never made (give-back).
--
-- KEYS   stems (see common.lua): the scopes of the grant; then the job's money, if any; then the retries; then the
--        breaker, if any
--   writes  :amt :win of a scope while the reservation is in the window, :hour:amt :hour:win likewise, :day and :month
--           while they last, :live :lamt;
--           :money; :spans while the span of the grant is kept; breaker's :live :lamt, and its probe where the probe is given back. A cold stem is left alone.
-- ARGV   1 clock or ''   2 reservation id   3 window ms   4 calls whose slots are free again
--        5 change in calls (<= 0)   6 change in tokens   7 change in micro-dollars   8 number of scopes
--        9 '1' with money, else ''   10 '1' with a breaker, else ''   11 '1' to free the breaker's probe, else ''
--        12 change in first calls (<= 0)   13 change in retries (<= 0)   14 ms at which the grant was made
--        15 margin ms   then for each scope: the day on which the grant was counted, and the month
-- Returns 1. No sum ever falls below zero.

local now, id, window = clock(), ARGV[2], tonumber(ARGV[3])
local slots, d_calls, d_tokens, d_micro = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local scopes, granted, margin = tonumber(ARGV[8]), tonumber(ARGV[14]), tonumber(ARGV[15])

local function land(stem)
  local flying = tonumber(redis.call('HGET', stem .. ':lamt', id) or 0)
  local n = math.min(slots, flying)
  if n == 0 then return end
  if n < flying then
    redis.call('HINCRBY', stem .. ':lamt', id, int(-n))
    redis.call('HINCRBY', stem .. ':lamt', '#calls', int(-n))
    return
  end
  redis.call('ZREM', stem .. ':live', id)
  redis.call('HDEL', stem .. ':lamt', id)
  redis.call('HINCRBY', stem .. ':lamt', '#calls', int(-n))
end

local function correct_window(stem, id)
  local amount = redis.call('HGET', stem .. ':amt', id)
  if not amount then return end
  local c, t = string.match(amount, '^(%d+) (%d+)$')
  local new_c, new_t = math.max(0, c + d_calls), math.max(0, t + d_tokens)
  redis.call('HINCRBY', stem .. ':amt', '#calls', int(new_c - c))
  redis.call('HINCRBY', stem .. ':amt', '#tokens', int(new_t - t))
  if new_c == 0 and new_t == 0 then
    redis.call('ZREM', stem .. ':win', id)
    redis.call('HDEL', stem .. ':amt', id)
  else
    redis.call('HSET', stem .. ':amt', id, int(new_c) .. ' ' .. int(new_t))
  end
end

local function correct_calendar(key, day)
  local stored = redis.call('HMGET', key, 'day', 'calls', 'tokens')
  if stored[1] ~= day then return end
  redis.call('HSET', key, 'calls', int(math.max(0, stored[2] + d_calls)),
    'tokens', int(math.max(0, stored[3] + d_tokens)))
end

for i = 1, scopes do
  local stem = KEYS[i]
  local stands = standing(stem)
  if stands.warm then
    prune(stem, stands, now, window, margin)
    land(stem)
    correct_window(stem, id)
    correct_calendar(stem .. ':day', ARGV[14 + 2 * i])
    if stands.hour then correct_window(stem .. ':hour', int(hour_span(granted))) end
    if stands.month then correct_calendar(stem .. ':month', ARGV[15 + 2 * i]) end
  end
end

if ARGV[9] ~= '' then
  local money = KEYS[scopes + 1]
  local spent = redis.call('GET', money .. ':money')
  if spent and is_warm(money) then
    redis.call('SET', money .. ':money', int(math.max(0, spent + d_micro)), 'KEEPTTL')
  end
end

local retried = KEYS[scopes + (ARGV[9] ~= '' and 1 or 0) + 1] .. ':spans'
local span = int(math.floor(granted / SPAN_MS))
for field, change in pairs({['f' .. span] = tonumber(ARGV[12]), ['r' .. span] = tonumber(ARGV[13])}) do
  local counted = change < 0 and redis.call('HGET', retried, field)
  if counted then redis.call('HSET', retried, field, int(math.max(0, counted + change))) end
end

if ARGV[10] ~= '' then
  local breaker = KEYS[#KEYS]
  pop(breaker .. ':live', breaker .. ':lamt', now)
  land(breaker)
  if ARGV[11] ~= '' and redis.call('HGET', breaker .. ':state', 'probe') == id then
    redis.call('HDEL', breaker .. ':state', 'probe', 'probe_until')
  end
end
return 1
