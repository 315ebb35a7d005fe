-- Give a key back; nobody but its holder can.
-- KEYS  1 record  2 wake list
-- ARGV  1 holder  2 token  3 grace (microseconds)
-- Answers 1 freed in time, now or by an earlier call whose answer was lost; 0 no longer held
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local holder, expiry, token, floor, released, watched = unpack(
  redis.call('HMGET', KEYS[1], 'o', 'e', 't', 'f', 'r', 'w'))
local proof = ARGV[1] .. ' ' .. ARGV[2]
if released == proof then
  return 1
end
if holder ~= ARGV[1] or token ~= ARGV[2] or tonumber(expiry) <= now then
  return 0
end
local rest = math.max((tonumber(floor) or 0) - now, 0)
-- PEXPIRE first: a server whose memory is full lets a script finish that has begun to write
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((rest + ARGV[3]) / 1000)))
redis.call('HSET', KEYS[1], 'e', '0', 'r', proof)
if rest == 0 and (tonumber(watched) or 0) > now then
  redis.call('LPUSH', KEYS[2], '1')
  redis.call('LTRIM', KEYS[2], 0, 0)
  redis.call('PEXPIRE', KEYS[2], 5000) -- a wake that nobody took is no news after a while
end
return 1
