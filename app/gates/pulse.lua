-- Adds a batch of completed calls to a deployment's live averages, for its task kind and for all kinds together.
--
-- KEYS   1 the stem, `gate:{pulse:<deployment>}`
--   :all, :<kind>  hash  calls, latency_ms, tokens, input, guessed: integers, sums over those calls
--                  o<n>, l<n>: calls whose output tokens, or latency in ms, were above STEP^(n-1) and no more than STEP^n
--                  output_seen, output_p95, latency_p95: calls behind the o<n>, and the 95th percentiles by them.
--                  When calls pass MEMORY all of it is halved, so it is of the last few hundred calls, and what has
--                  come down to less than LEAST of a call is forgotten.
-- ARGV   1 clock or '' (unused)   2 task kind   3 calls   4 tokens   5 input tokens as counted
--        6 input tokens as guessed   7 output tokens of each call, with commas between, or ''   8 latency in ms likewise
-- Returns the calls now behind the kind's averages.

local MEMORY, LEAST, IDLE_MS = 200, 0.3, 7 * 86400000
local STEP, SHARE = 1.09, 0.95

local names = {'calls', 'latency_ms', 'tokens', 'input', 'guessed'}
local batch, added = {tonumber(ARGV[3]), 0, tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])}, {}

local function take(letter, values)
  local sum = 0
  for value in string.gmatch(values, '%d+') do
    sum = sum + tonumber(value)
    local n = math.max(0, math.ceil(math.log(math.max(1, tonumber(value))) / math.log(STEP) - 1e-9))
    added[letter .. n] = (added[letter .. n] or 0) + 1
  end
  return sum
end
take('o', ARGV[7])
batch[2] = take('l', ARGV[8])

-- How many calls a histogram holds, and the value that SHARE of them do not pass, rounded up to the step.
local function percentile(histogram, letter)
  local steps, total = {}, 0
  for field, weight in pairs(histogram) do
    if string.sub(field, 1, 1) == letter then
      steps[#steps + 1] = {tonumber(string.sub(field, 2)), weight}
      total = total + weight
    end
  end
  table.sort(steps, function(a, b) return a[1] < b[1] end)
  local below = 0
  for _, step in ipairs(steps) do
    below = below + step[2]
    if below >= SHARE * total - 1e-9 then return total, math.floor(STEP ^ step[1] + 1e-6) end
  end
  return 0, 0
end

local seen
for _, suffix in ipairs({':all', ':' .. ARGV[2]}) do
  local key = KEYS[1] .. suffix
  local flat, old, histogram = redis.call('HGETALL', key), {}, {}
  for i = 1, #flat, 2 do
    old[flat[i]] = tonumber(flat[i + 1])
    if string.match(flat[i], '^[ol]%d+$') then histogram[flat[i]] = tonumber(flat[i + 1]) end
  end
  local sums = {}
  for i, name in ipairs(names) do sums[i] = (old[name] or 0) + batch[i] end
  for field, n in pairs(added) do histogram[field] = (histogram[field] or 0) + n end
  while sums[1] > MEMORY do
    for i = 1, 5 do sums[i] = math.ceil(sums[i] / 2) end
    for field, weight in pairs(histogram) do histogram[field] = weight / 2 end
  end
  local new = {}
  for i, name in ipairs(names) do new[#new + 1], new[#new + 2] = name, int(sums[i]) end
  for field, weight in pairs(histogram) do
    if weight < LEAST then
      histogram[field] = nil
      redis.call('HDEL', key, field)
    else
      new[#new + 1], new[#new + 2] = field, string.format('%.4g', weight)
    end
  end
  local outputs, output_p95 = percentile(histogram, 'o')
  local _, latency_p95 = percentile(histogram, 'l')
  for name, value in pairs({output_seen = outputs, output_p95 = output_p95, latency_p95 = latency_p95}) do
    new[#new + 1], new[#new + 2] = name, int(value)
  end
  redis.call('HSET', key, unpack(new))
  redis.call('PEXPIRE', key, int(IDLE_MS))
  seen = sums[1]
end
return seen
