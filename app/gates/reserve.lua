-- Reserves calls and tokens under every rule of up to two scopes, a job's money, the retry budget and a breaker: all
-- or nothing.
--
-- KEYS   stems (see common.lua): the scopes; then the job's money, if any; then the retries; then the breaker, if any
--   reads   all of each scope, :warm :money, :spans, breaker's :state :live :lamt
--   writes  :win :amt :day :live :lamt (:hour:win :hour:amt :month where warm) of each scope, :money, :spans, breaker's
--           :state (probe) :live :lamt; :cold where cold
-- ARGV   1 clock or ''   2 reservation id   3 calls (>= 1)   4 tokens of all calls together   5 lease ms
--        6 window ms   7 margin ms   8 number of scopes   9 money amount in micro-dollars or ''
--        10 the job's limit in micro-dollars   11 '1' with a breaker, else ''
--        12 how many of the calls are retries (its last ones, where only a part fits)
--        13.. each scope, see scope_at
-- Returns
--   {'granted', at ms, 1 if this is the breaker's probe else 0}
--   {'denied', now ms, reason, rule, wait ms (-1: waiting gains nothing), room in calls}
--   {'cold', now ms, ms to wait before the ledger is read, name, ...}   nothing was charged
--   {'rollover', now ms}   a day or month given is not that of this clock; nothing was charged

local PROBE_POLL_MS = 500

local now, id = clock(), ARGV[2]
local calls, tokens, lease = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local window, margin, scopes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local money = ARGV[9] ~= '' and KEYS[scopes + 1] or nil
local breaker = ARGV[11] ~= '' and KEYS[#KEYS] or nil
local amount, purse = tonumber(ARGV[9]), tonumber(ARGV[10])
local retried, retries = KEYS[scopes + (money and 1 or 0) + 1], tonumber(ARGV[12])

local scope, stands = {}, {}
for i = 1, scopes do
  scope[i] = scope_at(12 + i)
  if is_over(scope[i], now) then return {'rollover', now} end
end

local cold = {}
local cold_wait = 0
for i = 1, scopes + (money and 1 or 0) do
  local stem, shut = KEYS[i], nil
  if i <= scopes then
    stands[i] = standing(stem)
    apply_learned(stem, scope[i], now)
    shut = is_cold(scope[i], stands[i])
  else
    shut = not is_warm(stem)
  end
  if shut then
    local run, first = string.match(redis.call('GET', stem .. ':cold') or '', '^(%w+) (%d+)$')
    if run ~= RUN then
      first = int(now)
      redis.call('SET', stem .. ':cold', RUN .. ' ' .. first, 'PX', 86400000)
    end
    cold_wait = math.max(cold_wait, tonumber(first) + margin - now)
    cold[#cold + 1] = name_of(stem)
  end
end
if #cold > 0 then return {'cold', now, cold_wait, unpack(cold)} end

-- The client's library repeats a command whose answer was lost: the same id is the same reservation.
local before = redis.call('ZSCORE', KEYS[1] .. ':win', id)
if before then
  local probe = breaker and redis.call('HGET', breaker .. ':state', 'probe') == id
  return {'granted', tonumber(before), probe and 1 or 0}
end

local rules = {}
for i = 1, scopes do
  prune(KEYS[i], stands[i], now, window, margin)
  scope_rules(rules, KEYS[i], scope[i], stands[i], calls, tokens, now, window, margin)
end

if money and amount > 0 then
  local left = purse - tonumber(redis.call('GET', money .. ':money') or 0)
  local fits = math.floor(left * calls / amount)
  rules[#rules + 1] = {reason = 'money', rule = name_of(money) .. ' money', free = fits, most = fits}
end

if retries > 0 then rules[#rules + 1] = retry_rule(retried, calls, retries, now) end

local probe = false
if breaker then
  pop(breaker .. ':live', breaker .. ':lamt', now)
  local b = redis.call('HMGET', breaker .. ':state', 'state', 'until', 'probe', 'probe_until', 'ramp')
  local rule = {reason = 'breaker_open', rule = name_of(breaker), free = calls, most = calls}
  if b[1] == 'open' then
    local opens, probing = tonumber(b[2]), b[3] and tonumber(b[4]) > now
    if now < opens then
      rule.free, rule.wait = 0, function() return opens - now end
    elseif probing then
      rule.free, rule.wait = 0, function() return math.min(PROBE_POLL_MS, tonumber(b[4]) - now) end
    else
      probe = true
      rule.free, rule.wait = 1, function() return PROBE_POLL_MS end
    end
  elseif b[5] then
    rule.reason, rule.rule = 'concurrency', rule.rule .. ' slow start'
    rule.free = tonumber(b[5]) - in_flight(breaker)
    rule.wait = function() return slot_wait(breaker, now) end
  end
  rules[#rules + 1] = rule
end

local no = judge(rules, calls)
if no then return {'denied', now, no[1], no[2], no[3], no[4]} end

for i = 1, scopes do
  local stem = KEYS[i]
  enter_window(stem, id, now, calls, tokens, now, window)
  enter_flight(stem, id, now + lease, calls, now)
  local day, day_calls, day_tokens = calendar_used(stem .. ':day', scope[i].day)
  set_calendar(stem .. ':day', day, day_calls + calls, day_tokens + tokens, scope[i].day_end - now)
  if stands[i].hour then enter_hour(stem, now, calls, tokens, now, margin) end
  if stands[i].month then
    local month, month_calls, month_tokens = calendar_used(stem .. ':month', scope[i].month)
    set_calendar(stem .. ':month', month, month_calls + calls, month_tokens + tokens, scope[i].month_end - now)
  end
end
if money then
  redis.call('INCRBY', money .. ':money', int(amount))
  keep(money .. ':warm', MONEY_TTL_MS)
  keep(money .. ':money', MONEY_TTL_MS)
end
spend_retries(retried, calls, retries, now)
if breaker then
  enter_flight(breaker, id, now + lease, calls, now)
  if probe then redis.call('HSET', breaker .. ':state', 'probe', id, 'probe_until', int(now + lease)) end
end
return {'granted', now, probe and 1 or 0}
