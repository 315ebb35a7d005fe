-- End the lease of a holder that cannot give it back any more, and of nobody else.
-- KEYS  1 state  2 wake list
-- ARGV  1 holder, or its beginning up to a '#'  2 grace (microseconds)  3 1: its floor as well
-- Answers nil it was not his
--         {holder, since, now, free at, 1 live | 0 kept by at_least only, publication, token,
--          0} who had it
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local holder, expiry, token, since, publication, floor, watched = unpack(
  redis.call('HMGET', KEYS[1], 'o', 'e', 't', 'a', 'p', 'f', 'w'))
expiry, floor = tonumber(expiry) or 0, tonumber(floor) or 0
local live, kept = expiry > now, floor > now
local his = holder and (holder == ARGV[1]
  or (ARGV[1]:sub(-1) == '#' and holder:sub(1, #ARGV[1]) == ARGV[1]))
local barring = kept and ARGV[3] == '1'
if not his or not (live or barring) then
  return nil
end

local last = barring and 0 or floor
local rest = math.max(last - now, 0)
-- PEXPIRE first: a server whose memory is full lets a script finish that has begun to write
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((rest + ARGV[2]) / 1000)))
redis.call('HSET', KEYS[1], 'e', '0')
if barring then
  redis.call('HSET', KEYS[1], 'f', '0')
end
if rest == 0 and (tonumber(watched) or 0) > now then
  redis.call('LPUSH', KEYS[2], '1')
  redis.call('LTRIM', KEYS[2], 0, 0)
  redis.call('PEXPIRE', KEYS[2], 5000)
end
return {holder, tonumber(since) or 0, now, math.max(live and expiry or 0, floor),
  live and 1 or 0, publication or '', tonumber(token) or 0, 0}
