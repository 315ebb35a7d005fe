-- Who has a key. Changes nothing.
-- KEYS  1 state
-- ARGV  none
-- Answers nil free
--         {holder, since, now, free at, 1 live | 0 kept by at_least only, publication, token, 0}
--         taken
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local holder, expiry, token, since, publication, floor = unpack(
  redis.call('HMGET', KEYS[1], 'o', 'e', 't', 'a', 'p', 'f'))
expiry, floor = tonumber(expiry) or 0, tonumber(floor) or 0
local live = expiry > now
if not live and floor <= now then
  return nil
end
return {holder or '', tonumber(since) or 0, now, math.max(live and expiry or 0, floor),
  live and 1 or 0, publication or '', tonumber(token) or 0, 0}
