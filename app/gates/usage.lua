-- What is used of every rule of some scopes, for display and for planning. Charges nothing.
--
-- KEYS   stems of scopes (see common.lua)
--   reads   all of them; expired entries are popped on the way
-- ARGV   1 clock or ''   2 window ms   3 margin ms   4.. each scope, see scope_at
-- Returns {'ok', now ms, {warm 0/1, calls in flight, ms the hold lasts, ms until one call of one token is possible (-1:
--   never), {calls, tokens, ms until the oldest of them leaves, or all: of the minute, the hour, the day and the month},
--   {the limits in force, in the order of RULES, -1 for none}, {lessons in force, see apply_learned}}, ...}; {'rollover', now ms} where a day or month given is not that of this clock.
-- An hour or month that nobody limits is not counted: 0.

local now, window, margin = clock(), tonumber(ARGV[2]), tonumber(ARGV[3])

local function rolling(stem, length)
  local calls, tokens = window_used(stem)
  local oldest = redis.call('ZRANGE', stem .. ':win', 0, 0, 'WITHSCORES')[2]
  return calls, tokens, oldest and tonumber(oldest) + length - now or 0
end

local out = {'ok', now}
for i, stem in ipairs(KEYS) do
  local scope, stands = scope_at(3 + i), standing(stem)
  if is_over(scope, now) then return {'rollover', now} end
  prune(stem, stands, now, window, margin)
  local lessons = apply_learned(stem, scope, now)
  local rules = {}
  scope_rules(rules, stem, scope, stands, 1, 1, now, window, margin)
  local no = judge(rules, 1)
  local used = {rolling(stem, window)}
  used[4], used[5], used[6] = 0, 0, 0
  if stands.hour then used[4], used[5], used[6] = rolling(stem .. ':hour', HOUR_MS + margin) end
  local _, day_calls, day_tokens = calendar_used(stem .. ':day', scope.day)
  used[7], used[8], used[9] = day_calls, day_tokens, scope.day_end - now
  local _, month_calls, month_tokens = calendar_used(stem .. ':month', scope.month)
  used[10], used[11], used[12] = month_calls, month_tokens, scope.month_end - now
  local limits = {}
  for n, rule in ipairs(RULES) do limits[n] = scope[rule] or -1 end
  out[i + 2] = {
    is_cold(scope, stands) and 0 or 1, in_flight(stem), math.max(0, stands.held - now), no and no[3] or 0, used, limits,
    lessons,
  }
end
return out
