-- Takes down what a scope's provider showed to allow, for a while.
--
-- KEYS   1 the scope's stem (see common.lua)      writes  :learned
-- ARGV   1 clock or ''   2 rule   3 value   4 ms from now   5 '' where the provider stated it; else the ms at which the
--        calls were granted whose refusal it is inferred from   6 ms for which it is remembered after its end
-- Returns 1; 0 where nothing changed: a refusal of calls granted before the last lesson is old news, and what is stated
-- does not lift what was inferred.

local now, key, rule = clock(), KEYS[1] .. ':learned', ARGV[2]
local value, granted = tonumber(ARGV[3]), tonumber(ARGV[5])
local old_value, ends, at, how = string.match(redis.call('HGET', key, rule) or '', '^(%d+) (%d+) (%d+) (%a)$')
if ends and tonumber(ends) > now then
  if granted and granted <= tonumber(at) then return 0 end
  if not granted and how == 'i' and tonumber(old_value) < value then return 0 end
end
ends = now + tonumber(ARGV[4])
redis.call('HSET', key, rule, int(value) .. ' ' .. int(ends) .. ' ' .. int(now) .. (granted and ' i' or ' s'))
keep(key, ends - now + tonumber(ARGV[6]))
return 1
