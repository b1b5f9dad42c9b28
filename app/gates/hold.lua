-- Keeps a scope shut for a while because its provider said so. Never shortens a hold.
--
-- KEYS   1 the scope's stem (see common.lua)      writes  :hold
-- ARGV   1 clock or ''   2 ms from now (<= one day)
-- Returns the ms of the clock until which the scope is held.

local now, key = clock(), KEYS[1] .. ':hold'
local ends = math.max(now + tonumber(ARGV[2]), tonumber(redis.call('GET', key) or 0))
redis.call('SET', key, int(ends), 'PX', int(ends - now + 60000)) -- the TTL only clears away
return ends
