-- Opens a cold scope, or a job's money, from what the ledger knows. The first one wins; loading and opening are one.
--
-- KEYS   1 the stem (see common.lua)
--   writes  :warm and, for a scope, :win :amt :day :live :lamt, with the hour :hour:win :hour:amt :hour:warm, with the
--           month :month :month:warm; for money, :money. What was there before (a snapshot of an earlier run) is dropped.
--           :hold and :learned stand: a provider's wish outlives us. :cold goes.
-- ARGV   1 clock or ''   2 'scope' or 'money'   3 window ms
--        scope: 4 the scope, see scope_at   5 margin ms   6 JSON {"window": [[at ms, calls, tokens], ...],
--               "day_calls": n, "day_tokens": n, "in_flight": [[lease end ms, calls], ...],
--               "hour": [[at ms, calls, tokens], ...] or null, "month": [calls, tokens] or null}; null: not looked up
--        money: 4 micro-dollars spent, or possibly spent
-- Returns {'warm', now ms}; {'already', now ms}: all this was open, nothing changed; {'rollover', now ms}: not that day
-- or month

local now, stem, window = clock(), KEYS[1], tonumber(ARGV[3])

if ARGV[2] == 'money' then
  if is_warm(stem) then return {'already', now} end
  redis.call('SET', stem .. ':money', ARGV[4], 'PX', MONEY_TTL_MS)
  redis.call('SET', stem .. ':warm', RUN, 'PX', MONEY_TTL_MS)
  redis.call('DEL', stem .. ':cold')
  return {'warm', now}
end

local scope, margin, known, stands = scope_at(4), tonumber(ARGV[5]), cjson.decode(ARGV[6]), standing(stem)
local hour = known.hour ~= cjson.null and not stands.hour
local month = known.month ~= cjson.null and not stands.month
if stands.warm and not hour and not month then return {'already', now} end
if is_over(scope, now) then return {'rollover', now} end
redis.call('DEL', stem .. ':cold')
if not stands.warm then
  redis.call('DEL', stem .. ':win', stem .. ':amt', stem .. ':day', stem .. ':live', stem .. ':lamt')
  for i, entry in ipairs(known.window) do
    if entry[1] > now - window then
      enter_window(stem, 'ledger:' .. i, math.min(now, entry[1]), entry[2], entry[3], now, window)
    end
  end
  for i, entry in ipairs(known.in_flight) do
    if entry[1] > now then enter_flight(stem, 'ledger:' .. i, entry[1], entry[2], now) end
  end
  set_calendar(stem .. ':day', scope.day, known.day_calls, known.day_tokens, scope.day_end - now)
  redis.call('SET', stem .. ':warm', RUN)
end
if hour then
  redis.call('DEL', stem .. ':hour:win', stem .. ':hour:amt')
  for _, entry in ipairs(known.hour) do
    local at = math.min(now, entry[1])
    if hour_span(at) > now - HOUR_MS - margin then enter_hour(stem, at, entry[2], entry[3], now, margin) end
  end
  redis.call('SET', stem .. ':hour:warm', RUN)
end
if month then
  set_calendar(stem .. ':month', scope.month, known.month[1], known.month[2], scope.month_end - now)
  redis.call('SET', stem .. ':month:warm', RUN)
end
return {'warm', now}
