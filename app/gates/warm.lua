-- Opens a cold scope, or a job's money, from what the ledger knows. The first one wins; loading and opening are one.
--
-- KEYS   1 the stem (see common.lua)
--   writes  :warm and, for a scope, :win :amt :day :live :lamt; for money, :money. What was there before (a snapshot
--           of an earlier run) is dropped. :hold stands: a provider's wish outlives us. :cold goes.
-- ARGV   1 clock or ''   2 'scope' or 'money'   3 window ms
--        scope: 4 day   5 day's start ms   6 day's end ms   7 JSON {"window": [[at ms, calls, tokens], ...],
--               "day_calls": n, "day_tokens": n, "in_flight": [[lease end ms, calls], ...]}
--        money: 4 micro-dollars spent, or possibly spent
-- Returns {'warm', now ms}; {'already', now ms}: it was open, nothing changed; {'rollover', now ms}: not that day

local now, stem, window = clock(), KEYS[1], tonumber(ARGV[3])
if is_warm(stem) then return {'already', now} end

if ARGV[2] == 'money' then
  redis.call('SET', stem .. ':money', ARGV[4], 'PX', MONEY_TTL_MS)
  redis.call('SET', stem .. ':warm', RUN, 'PX', MONEY_TTL_MS)
  redis.call('DEL', stem .. ':cold')
  return {'warm', now}
end

local day_end = tonumber(ARGV[6])
if now < tonumber(ARGV[5]) or now >= day_end then return {'rollover', now} end
redis.call('DEL', stem .. ':win', stem .. ':amt', stem .. ':day', stem .. ':live', stem .. ':lamt', stem .. ':cold')
local known = cjson.decode(ARGV[7])
for i, entry in ipairs(known.window) do
  if entry[1] > now - window then
    enter_window(stem, 'ledger:' .. i, math.min(now, entry[1]), entry[2], entry[3], now, window)
  end
end
for i, entry in ipairs(known.in_flight) do
  if entry[1] > now then enter_flight(stem, 'ledger:' .. i, entry[1], entry[2], now) end
end
set_day(stem, ARGV[4], known.day_calls, known.day_tokens, day_end - now)
redis.call('SET', stem .. ':warm', RUN)
return {'warm', now}
