-- What is used of every rule of some scopes, for display and for planning. Charges nothing.
--
-- KEYS   stems of scopes (see common.lua)
--   reads   :warm :hold :win :amt :day :live :lamt; expired entries are popped on the way
-- ARGV   1 clock or ''   2 window ms   3 margin ms
--        then for each scope: rpm tpm rpd tpd concurrency burst ('' = none), day, day's start ms, day's end ms
-- Returns {'ok', now ms, {warm 0/1, calls in the window, tokens in the window, ms until the oldest of them leaves,
--   calls today, tokens today, ms until the day ends, calls in flight, ms the hold lasts, ms until one call of one
--   token is possible (-1: never)}, ...}; {'rollover', now ms} where a day given is not today by this clock.

local now, window, margin = clock(), tonumber(ARGV[2]), tonumber(ARGV[3])
local out = {'ok', now}
for i, stem in ipairs(KEYS) do
  local limits = limits_at(4 + 9 * (i - 1))
  if now < limits[8] or now >= limits[9] then return {'rollover', now} end
  prune(stem, now, window)
  local calls, tokens = window_used(stem)
  local _, day_calls, day_tokens = day_used(stem, limits[7])
  local oldest = redis.call('ZRANGE', stem .. ':win', 0, 0, 'WITHSCORES')[2]
  local rules = {}
  scope_rules(rules, stem, limits, 1, 1, now, window, margin)
  local no = judge(rules, 1)
  out[i + 2] = {
    is_warm(stem) and 1 or 0, calls, tokens, oldest and tonumber(oldest) + window - now or 0,
    day_calls, day_tokens, limits[9] - now, in_flight(stem),
    math.max(0, tonumber(redis.call('GET', stem .. ':hold') or 0) - now), no and no[3] or 0,
  }
end
return out
