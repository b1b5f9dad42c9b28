-- What every script of the gates shares; it is put in front of each of them.
--
-- KEYS holds stems, `gate:{<name>}`; a script appends the suffixes below. The braces are a hash tag, so whatever is
-- derived from a stem lives in the same cluster slot as the stem itself. <name> is a scope (`provider:groq`,
-- `deployment:groq/llama-3.1`), a job's money (`job:<id>`) or a breaker (`breaker:groq/llama-3.1`).
--
--   scope, money  :warm   string  run id of the Redis server on which this stem was loaded from the ledger. Missing, or
--                                 of another run (Redis restarted, perhaps from an old snapshot): the stem is cold
--                 :cold   string  "<run id> <ms>": when this run first met the stem cold
--   scope         :hold   string  ms of the clock until which the provider asked us to stay away
--                 :learned hash   rule -> "<value> <ms at which it ends> <ms at which it was learned> <s or i>", where s
--                                 is stated by the provider and i inferred from a refusal; kept a while after its end
--                 :win    zset    reservation id -> ms at which it was granted
--                 :amt    hash    reservation id -> "<calls> <tokens>" still counted; '#calls', '#tokens' -> their sums
--                 :day    hash    day -> YYYY-MM-DD in the provider's zone, calls, tokens -> used on that day
--                 :month  hash    the same of a calendar month, day -> YYYY-MM
--                 :hour:win, :hour:amt    as :win and :amt, of the last hour; a reservation's place is taken by the
--                                 ten seconds it was made in, and its moment by their end
--                 :hour:warm, :month:warm  as :warm. Hours and months are counted from when a limit on them is first
--                                 in force (then the scope is cold until the ledger has told of them), and ever after
--   scope,        :live   zset    reservation id -> ms at which its lease ends
--   breaker       :lamt   hash    reservation id -> calls in flight; '#calls' -> their sum
--   money         :money  string  micro-dollars spent or reserved by the job
--   breaker       :state  hash    see breaker.lua
--   retries       :spans  hash    f<n>, r<n> -> first calls and retries granted in the n-th 5 s since 1970
--
-- ARGV[1] of every script is the clock: '' in production, where Redis's own TIME is used; a number of ms in tests,
-- which cannot move that clock. No logic depends on a key's TTL: TTLs only clear away what is idle.

-- A job's money that nobody touches for this long is forgotten (cold again).
local MONEY_TTL_MS = 3 * 86400000

local RUN = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function int(value) return string.format('%.0f', value) end

local function name_of(stem) return string.match(stem, '{(.*)}') end

local function is_warm(stem) return redis.call('GET', stem .. ':warm') == RUN end

-- What stands about a scope: {warm, hour, month: what of it is warm, held: ms until which it is held}.
local function standing(stem)
  local got = redis.call('MGET', stem .. ':warm', stem .. ':hour:warm', stem .. ':month:warm', stem .. ':hold')
  return {warm = got[1] == RUN, hour = got[2] == RUN, month = got[3] == RUN, held = tonumber(got[4] or 0)}
end

-- TTL of at least `ms`: never shortens one that is there.
local function keep(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, int(math.max(1, ms))) end
end

-- Pops the entries of `zset` whose score is `upto` or less, with their amounts; the sums follow.
local function pop(zset, hash, upto)
  while true do
    local ids = redis.call('ZRANGEBYSCORE', zset, '-inf', int(upto), 'LIMIT', 0, 500)
    if #ids == 0 then return end
    local calls, tokens = 0, 0
    for _, amount in ipairs(redis.call('HMGET', hash, unpack(ids))) do
      if amount then
        local c, t = string.match(amount, '^(%d+) ?(%d*)$')
        calls, tokens = calls + tonumber(c), tokens + (tonumber(t) or 0)
      end
    end
    redis.call('ZREM', zset, unpack(ids))
    if redis.call('EXISTS', zset) == 0 then
      redis.call('DEL', hash)
      return
    end
    redis.call('HDEL', hash, unpack(ids))
    redis.call('HINCRBY', hash, '#calls', int(-calls))
    if tokens > 0 then redis.call('HINCRBY', hash, '#tokens', int(-tokens)) end
  end
end

local HOUR_MS, HOUR_SPAN_MS = 3600000, 10000

local function prune(stem, stands, now, window, margin)
  pop(stem .. ':win', stem .. ':amt', now - window)
  pop(stem .. ':live', stem .. ':lamt', now)
  if stands.hour then pop(stem .. ':hour:win', stem .. ':hour:amt', now - HOUR_MS - margin) end
end

local function window_used(stem)
  local sums = redis.call('HMGET', stem .. ':amt', '#calls', '#tokens')
  return tonumber(sums[1] or 0), tonumber(sums[2] or 0)
end

local function in_flight(stem) return tonumber(redis.call('HGET', stem .. ':lamt', '#calls') or 0) end

-- Calls and tokens used on `day`, of a `key` that ends in :day (or in that month, of one that ends in :month). A later
-- one than asked for stands (the clock stepped back): it is not forgotten.
local function calendar_used(key, day)
  local stored = redis.call('HMGET', key, 'day', 'calls', 'tokens')
  if not stored[1] or stored[1] < day then return day, 0, 0 end
  return stored[1], tonumber(stored[2]), tonumber(stored[3])
end

-- ms until at least `excess` calls (field 1) or tokens (field 2) have left the window: walks from the oldest entry.
local function window_wait(stem, field, excess, now, window)
  local start = 0
  while true do
    local page = redis.call('ZRANGE', stem .. ':win', start, start + 99, 'WITHSCORES')
    if #page == 0 then return window end
    local ids = {}
    for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
    for i, amount in ipairs(redis.call('HMGET', stem .. ':amt', unpack(ids))) do
      local calls, tokens = string.match(amount or '0 0', '^(%d+) (%d+)$')
      excess = excess - tonumber(field == 1 and calls or tokens)
      if excess <= 0 then return tonumber(page[2 * i]) + window - now end
    end
    start = start + 100
  end
end

-- What was reserved within the last second: calls, tokens, and the entries {calls, tokens, at}, oldest first.
local BURST_MS = 1000
local function last_second(stem, now)
  local page = redis.call('ZRANGEBYSCORE', stem .. ':win', '(' .. int(now - BURST_MS), '+inf', 'WITHSCORES')
  local calls, tokens, ids, entries = 0, 0, {}, {}
  for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
  if #ids == 0 then return 0, 0, entries end
  for i, amount in ipairs(redis.call('HMGET', stem .. ':amt', unpack(ids))) do
    local c, t = string.match(amount or '0 0', '^(%d+) (%d+)$')
    calls, tokens = calls + tonumber(c), tokens + tonumber(t)
    entries[i] = {tonumber(c), tonumber(t), tonumber(page[2 * i])}
  end
  return calls, tokens, entries
end

-- ms until it is worth asking again for a slot: when the first lease ends, but soon, since calls end when they like.
local POLL_MS = 50
local function slot_wait(stem, now)
  local first = redis.call('ZRANGE', stem .. ':live', 0, 0, 'WITHSCORES')
  if not first[2] then return POLL_MS end
  return math.max(1, math.min(POLL_MS, tonumber(first[2]) - now))
end

local function enter_window(stem, id, at, calls, tokens, now, window)
  redis.call('ZADD', stem .. ':win', int(at), id)
  redis.call('HSET', stem .. ':amt', id, int(calls) .. ' ' .. int(tokens))
  redis.call('HINCRBY', stem .. ':amt', '#calls', int(calls))
  redis.call('HINCRBY', stem .. ':amt', '#tokens', int(tokens))
  keep(stem .. ':win', at + window - now)
  keep(stem .. ':amt', at + window - now)
end

local function enter_flight(stem, id, lease_end, calls, now)
  redis.call('ZADD', stem .. ':live', int(lease_end), id)
  redis.call('HSET', stem .. ':lamt', id, int(calls))
  redis.call('HINCRBY', stem .. ':lamt', '#calls', int(calls))
  keep(stem .. ':live', lease_end - now)
  keep(stem .. ':lamt', lease_end - now)
end

local function set_calendar(key, day, calls, tokens, ms_left)
  redis.call('HSET', key, 'day', day, 'calls', int(calls), 'tokens', int(tokens))
  keep(key, ms_left + 60000)
end

local function hour_span(at) return (math.floor(at / HOUR_SPAN_MS) + 1) * HOUR_SPAN_MS end

local function enter_hour(stem, at, calls, tokens, now, margin)
  local zset, hash, ends = stem .. ':hour:win', stem .. ':hour:amt', hour_span(at)
  local c, t = string.match(redis.call('HGET', hash, int(ends)) or '0 0', '^(%d+) (%d+)$')
  redis.call('ZADD', zset, int(ends), int(ends))
  redis.call('HSET', hash, int(ends), int(c + calls) .. ' ' .. int(t + tokens))
  redis.call('HINCRBY', hash, '#calls', int(calls))
  redis.call('HINCRBY', hash, '#tokens', int(tokens))
  keep(zset, ends + HOUR_MS + margin - now)
  keep(hash, ends + HOUR_MS + margin - now)
end

-- One scope as argument `i` tells it, one text: rpm,tpm,rph,tph,rpd,tpd,rpmo,tpmo,concurrency,burst,upwards,day,start
-- ms,end ms,month,start ms,end ms. Limits and burst are false where there are none. `upwards` is '1' where a learned
-- limit counts even if it is above the file's.
local RULES = {'rpm', 'tpm', 'rph', 'tph', 'rpd', 'tpd', 'rpmo', 'tpmo', 'concurrency'}
local function scope_at(i)
  local said, scope = {}, {}
  for field in string.gmatch(ARGV[i], '([^,]*),?') do said[#said + 1] = field end
  for n, rule in ipairs(RULES) do scope[rule] = tonumber(said[n]) or false end
  scope.burst, scope.upwards = tonumber(said[10]) or false, said[11] == '1'
  scope.day, scope.day_start, scope.day_end = said[12], tonumber(said[13]), tonumber(said[14])
  scope.month, scope.month_start, scope.month_end = said[15], tonumber(said[16]), tonumber(said[17])
  return scope
end

local function is_over(scope, now)
  return now < scope.day_start or now >= scope.day_end or now < scope.month_start or now >= scope.month_end
end

-- Puts what has been learned of a scope's limits in the place of what the file says. Returns the lessons in force, flat:
-- rule, value, ms at which it ends, ms at which it was learned, s or i, ...
local function apply_learned(stem, scope, now)
  local all, lessons = redis.call('HGETALL', stem .. ':learned'), {}
  for i = 1, #all, 2 do
    local rule, value, ends, at, how = all[i], string.match(all[i + 1], '^(%d+) (%d+) (%d+) (%a)$')
    if tonumber(ends) > now then
      local told = scope[rule]
      if not told or tonumber(value) < told or scope.upwards then scope[rule] = tonumber(value) end
      for _, field in ipairs({rule, value, ends, at, how}) do lessons[#lessons + 1] = field end
    end
  end
  return lessons
end

-- Is the ledger to be asked before anything of this scope is granted?
local function is_cold(scope, stands)
  return not stands.warm or ((scope.rph or scope.tph) and not stands.hour)
    or ((scope.rpmo or scope.tpmo) and not stands.month)
end

-- The rules of one scope, added to `rules`. A rule is {reason, rule, free, most, wait}: `free` calls of the reservation
-- fit now, `most` can ever fit, wait(n) is the ms until n of them fit (asked only where free < n <= most).
-- `scope.burst` is the share of a minute's requests and tokens that may leave within one second (never less than one
-- call).
local function scope_rules(rules, stem, scope, stands, calls, tokens, now, window, margin)
  local rpm, tpm, burst, concurrency = scope.rpm, scope.tpm, scope.burst, scope.concurrency
  local name = name_of(stem)
  local function add(reason, rule, free, most, wait)
    rules[#rules + 1] = {reason = reason, rule = name .. ' ' .. rule, free = free, most = most, wait = wait}
  end
  -- Calls that `room` tokens are enough for. A call without tokens still needs a budget that is not overdrawn.
  local function share(room)
    if room < 0 then return 0 end
    return tokens == 0 and calls or math.floor(room * calls / tokens)
  end
  local function need(n) return math.ceil(n * tokens / calls) end

  local held = stands.held
  if held > now then add('hold', 'hold', 0, calls, function() return held - now end) end

  local used_calls, used_tokens = window_used(stem)
  if rpm then
    add('rate', 'rpm', rpm - used_calls, rpm, function(n)
      return window_wait(stem, 1, used_calls + n - rpm, now, window)
    end)
  end
  if tpm then
    add('tokens', 'tpm', share(tpm - used_tokens), share(tpm), function(n)
      return window_wait(stem, 2, used_tokens + need(n) - tpm, now, window)
    end)
  end

  if burst and (rpm or tpm) then
    local recent, recent_tokens, entries = last_second(stem, now)
    -- ms until what is left of the last second is at most `kept` (field 1: calls, 2: tokens): its oldest leave first.
    local function thin_out(field, sum, kept)
      for _, entry in ipairs(entries) do
        sum = sum - entry[field]
        if sum <= kept then return entry[3] + BURST_MS - now end
      end
      return BURST_MS
    end
    if rpm then
      local most = math.max(1, math.floor(rpm * burst))
      add('rate', 'burst', most - recent, most, function(n) return thin_out(1, recent, most - n) end)
    end
    if tpm then
      local most = math.max(need(1), math.floor(tpm * burst))
      add('tokens', 'burst', share(most - recent_tokens), share(most), function(n)
        return thin_out(2, recent_tokens, most - need(n))
      end)
    end
  end

  local rph, tph = scope.rph, scope.tph
  if rph or tph then
    local hour = stem .. ':hour'
    local hour_calls, hour_tokens = window_used(hour)
    if rph then
      add('hour_requests', 'rph', rph - hour_calls, rph, function(n)
        return window_wait(hour, 1, hour_calls + n - rph, now, HOUR_MS + margin)
      end)
    end
    if tph then
      add('hour_tokens', 'tph', share(tph - hour_tokens), share(tph), function(n)
        return window_wait(hour, 2, hour_tokens + need(n) - tph, now, HOUR_MS + margin)
      end)
    end
  end

  -- A call sent in the last moments of a day may be counted by the provider on the next one: those moments are closed.
  -- The same holds for months.
  for _, period in ipairs({'day', 'month'}) do
    local suffix = period == 'day' and 'd' or 'mo'
    local requests, budget = scope['rp' .. suffix], scope['tp' .. suffix]
    if requests or budget then
      local ends = scope[period .. '_end']
      local closing = now >= ends - margin
      local _, spent_calls, spent_tokens = calendar_used(stem .. ':' .. period, scope[period])
      local function until_reset() return ends - now end
      if requests then
        add(period .. '_requests', 'rp' .. suffix, closing and 0 or requests - spent_calls, requests, until_reset)
      end
      if budget then
        local free = closing and 0 or share(budget - spent_tokens)
        add(period .. '_tokens', 'tp' .. suffix, free, share(budget), until_reset)
      end
    end
  end

  if concurrency then
    add('concurrency', 'concurrency', concurrency - in_flight(stem), concurrency, function()
      return slot_wait(stem, now)
    end)
  end
end

-- nil when all `calls` fit. Else {reason, rule, wait, room}: `room` calls fit now; `wait` is the ms until the whole
-- fits, or, where the rules never allow the whole, the largest part they do; -1 when waiting gains nothing over `room`.
local function judge(rules, calls)
  local room, most, cap = calls, calls, nil
  for _, r in ipairs(rules) do
    room = math.min(room, r.free)
    if r.most < most then most, cap = r.most, r end
  end
  if room >= calls then return nil end
  room = math.max(0, math.min(room, most))
  if most <= 0 or room >= most then return {cap.reason, cap.rule, -1, room} end
  local worst, wait = nil, 0
  for _, r in ipairs(rules) do
    if r.free < most then
      local w = r.wait(most)
      if not worst or w > wait then worst, wait = r, w end
    end
  end
  return {worst.reason, worst.rule, wait, room}
end

-- The retry budget of all calls to everybody: within a minute a tenth of the first calls, and 60 besides.
-- First calls count for 55 to 60 s and retries for 60 to 65: so no minute that ends with a retry holds more.
local SPAN_MS, FIRST_SPANS, RETRY_SPANS = 5000, 12, 13
local RETRY_SHARE, RETRY_FLOOR = 0.1, 60

-- {n -> {first calls, retries}} of the spans that still count for something, and the span of now.
local function retry_spans(stem, now)
  local current, spans = math.floor(now / SPAN_MS), {}
  local all = redis.call('HGETALL', stem .. ':spans')
  for i = 1, #all, 2 do
    local kind, n = string.match(all[i], '^(%a)(%d+)$')
    n = tonumber(n)
    spans[n] = spans[n] or {0, 0}
    spans[n][kind == 'f' and 1 or 2] = tonumber(all[i + 1])
  end
  return spans, current
end

-- Retries used and allowed once the current span is `at`, where `first` first calls are granted besides.
local function retry_budget(spans, at, first)
  local used = 0
  for n, span in pairs(spans) do
    if n > at - FIRST_SPANS then first = first + span[1] end
    if n > at - RETRY_SPANS then used = used + span[2] end
  end
  return used, math.floor(first * RETRY_SHARE) + RETRY_FLOOR
end

-- The rule of a reservation whose last `retries` calls are retries. `free` and `most` count the first calls first.
local function retry_rule(stem, calls, retries, now)
  local spans, current = retry_spans(stem, now)
  local first = calls - retries
  local used, allowed = retry_budget(spans, current, first)
  return {
    reason = 'retries', rule = 'retries', free = first + math.max(0, allowed - used),
    most = first + math.floor(first * RETRY_SHARE) + RETRY_FLOOR,
    wait = function(n)
      for at = current + 1, current + RETRY_SPANS do
        local then_used, then_allowed = retry_budget(spans, at, first)
        if then_used + n - first <= then_allowed then return at * SPAN_MS - now end
      end
    end,
  }
end

local function spend_retries(stem, calls, retries, now)
  local key, current = stem .. ':spans', math.floor(now / SPAN_MS)
  local fresh = false
  for kind, n in pairs({f = calls - retries, r = retries}) do
    if n > 0 and redis.call('HINCRBY', key, kind .. int(current), int(n)) == n then fresh = true end
  end
  if not fresh then return end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if tonumber(string.sub(field, 2)) <= current - RETRY_SPANS then redis.call('HDEL', key, field) end
  end
  redis.call('PEXPIRE', key, int(2 * RETRY_SPANS * SPAN_MS))
end
