-- Give a key back; nobody but its holder can.
-- KEYS  1 state  2 wake list  3 tombstone of a publication, if its completion is recorded
-- ARGV  1 holder  2 token  3 grace  4 life of the tombstone  5 heir to leave the key to, or ''
--       6 how long the heir has  7 1: the result is still to be stored, else 0
--       (times in microseconds; 4 to 7 may be left out together)
-- Answers 1 freed in time, now or by an earlier call whose answer was lost; 0 no longer held
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local int = '%.0f'
local holder, expiry, token, floor, released, watched = unpack(
  redis.call('HMGET', KEYS[1], 'o', 'e', 't', 'f', 'r', 'w'))
local proof = ARGV[1] .. ' ' .. ARGV[2]
local held = holder == ARGV[1] and token == ARGV[2] and tonumber(expiry) > now

local heir = held and ARGV[5] and ARGV[5] ~= ''
local rest = math.max((tonumber(floor) or 0) - now, heir and tonumber(ARGV[6]) or 0, 0)
if held then
  -- PEXPIRE first: a server whose memory is full lets a script finish that has begun to write
  redis.call('PEXPIRE', KEYS[1], int:format(math.ceil((rest + ARGV[3]) / 1000)))
end
if KEYS[3] then -- the body has run, whether its lease was lost or not
  redis.call('HSET', KEYS[3], 'c', int:format(now), 'd', ARGV[7])
  redis.call('PEXPIRE', KEYS[3], int:format(math.ceil(ARGV[4] / 1000)))
end
if not held then
  return released == proof and 1 or 0
end
if heir then
  redis.call('HSET', KEYS[1], 'o', ARGV[5], 'e', int:format(now + ARGV[6]), 'r', proof)
  return 1
end
redis.call('HSET', KEYS[1], 'e', '0', 'r', proof)
if rest == 0 and (tonumber(watched) or 0) > now then
  redis.call('LPUSH', KEYS[2], '1')
  redis.call('LTRIM', KEYS[2], 0, 0)
  redis.call('PEXPIRE', KEYS[2], 5000) -- a wake that nobody took is no news after a while
end
return 1
