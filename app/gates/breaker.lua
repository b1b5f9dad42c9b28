-- Takes the outcomes of calls into a deployment's circuit breaker. (It is consulted by reserve.lua.)
--
-- KEYS   1 the breaker's stem, `gate:{breaker:<deployment>}`
--   :state  hash   state        'open'; missing or 'closed': closed. Half open is open with `until` in the past
--                  until        ms of the clock at which the next call may be the probe
--                  backoff      ms it stays open the next time a probe fails; missing: the first time
--                  streak       failures in a row
--                  bad_since    ms at which the first of them was granted
--                  ring         the last 20 outcomes, oldest first, one character each: 1 ok, 0 failed
--                  since        ms at which it last closed; outcomes of calls granted before that are old news
--                  probe, probe_until   reservation id that holds the probe, and the end of its lease
--                  share, ramp, ramp_ok slow start: percent of the capacity, calls in flight that this allows,
--                                       successes in a row at this step; missing: no bound of ours
-- ARGV   1 clock or ''   2 calls that succeeded   3 calls that failed on the server's side
--        4 reservation id or ''   5 ms at which it was granted or ''   6 capacity: calls in flight at full load
-- Returns the state afterwards: 'closed', 'open' or 'half_open'.

local STREAK, RING, SEEN = 5, 20, 10
local FIRST_MS, LONGEST_MS = 30000, 300000
local STEPS, LEAST_OK = {5, 20, 50}, 5
local IDLE_MS = 86400000

local now, key = clock(), KEYS[1] .. ':state'
local ok, failed, id, granted = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local capacity = tonumber(ARGV[6])
local names = {'state', 'until', 'backoff', 'streak', 'ring', 'since', 'bad_since', 'probe', 'share', 'ramp', 'ramp_ok'}
local b = {}
for i, value in ipairs(redis.call('HMGET', key, unpack(names))) do b[names[i]] = value or nil end

local function save(fields, gone)
  redis.call('HSET', key, unpack(fields))
  if gone then redis.call('HDEL', key, unpack(gone)) end
  redis.call('PEXPIRE', key, int(IDLE_MS))
end

local function open(backoff)
  save({'state', 'open', 'until', int(now + backoff), 'backoff', int(math.min(LONGEST_MS, backoff * 2))},
    {'probe', 'probe_until', 'share', 'ramp', 'ramp_ok'})
  return 'open'
end

-- Calls in flight at a step of the slow start.
local function allowed(step) return math.max(1, math.floor(capacity * STEPS[step] / 100)) end

if b.state == 'open' then
  if now < tonumber(b['until']) then return 'open' end -- what was under way when it opened tells nothing new
  if id ~= '' and b.probe ~= id then return 'half_open' end
  if failed > 0 then return open(tonumber(b.backoff)) end
  if ok > 0 then
    save({'state', 'closed', 'streak', 0, 'ring', '', 'since', int(now), 'share', STEPS[1], 'ramp', int(allowed(1)), 'ramp_ok', 0},
      {'until', 'probe', 'probe_until'})
    return 'closed'
  end
  redis.call('HDEL', key, 'probe', 'probe_until') -- the probe told nothing: let another one try
  return 'half_open'
end

local calls = ok + failed
if calls == 0 or (granted and b.since and granted < tonumber(b.since)) then return 'closed' end

-- News is as old as the call: a success that was granted before the streak began does not end it. Else a slow answer
-- from the good times would let four more calls through to who has begun to fail.
-- A batch has no order: one success in it ends the streak, and its failures are spread evenly over the ring.
local streak, bad_since = tonumber(b.streak or 0), tonumber(b.bad_since)
local stale = streak > 0 and granted and bad_since and granted < bad_since
if ok > 0 and not stale then
  streak = 0
else
  if streak == 0 then bad_since = granted end
  streak = streak + failed
end
local outcomes = {}
for i = math.max(1, calls - RING + 1), calls do
  outcomes[#outcomes + 1] = math.floor(i * failed / calls) > math.floor((i - 1) * failed / calls) and '0' or '1'
end
local ring = string.sub((b.ring or '') .. table.concat(outcomes), -RING)
local _, bad = string.gsub(ring, '0', '')
local fields = {'state', 'closed', 'streak', int(streak), 'ring', ring, 'bad_since', bad_since and int(bad_since) or ''}
if streak >= STREAK or (#ring >= SEEN and bad * 2 >= #ring) then
  save(fields)
  return open(tonumber(b.backoff or FIRST_MS))
end

if not b.ramp then
  save(fields)
  return 'closed'
end
local step, ramp_ok = 1, tonumber(b.ramp_ok) + ok
for i, share in ipairs(STEPS) do
  if share == tonumber(b.share) then step = i end
end
if failed > 0 then step, ramp_ok = math.max(1, step - 1), 0 end
while step <= #STEPS and ramp_ok >= math.max(LEAST_OK, allowed(step)) do
  step, ramp_ok = step + 1, ramp_ok - math.max(LEAST_OK, allowed(step))
end
if step > #STEPS then
  save(fields, {'share', 'ramp', 'ramp_ok', 'backoff'})
else
  for _, value in ipairs({'share', STEPS[step], 'ramp', int(allowed(step)), 'ramp_ok', int(ramp_ok)}) do
    fields[#fields + 1] = value
  end
  save(fields)
end
return 'closed'
