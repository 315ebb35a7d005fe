-- Write a record if it still is as expected, and say how it stands.
-- KEYS  1 record (hash): s its stamp, v its value, w written at, e its expiry
--       2 index of the space (sorted set): the names of its records by their expiry
-- ARGV  1 name  2 new stamp  3 value  4 keep  5 not before
--       6 stamp that it must have; left out: there must be no record
--       (times in microseconds)
-- Answers {1, now, written at} done, now or by an earlier call whose answer was lost
--         {0, now} refused, and there is no record
--         {0, now, written at, stamp, value} refused, and this is what stands there
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = tonumber(ARGV[5]) and tonumber(ARGV[4])
-- kept.lua
local int = '%.0f'
local stamp, value, written, expiry = unpack(
  redis.call('HMGET', KEYS[1], 's', 'v', 'w', 'e'))

expiry = tonumber(expiry) or 0
local live = expiry > now
local again = live and stamp == ARGV[2] and value == ARGV[3] -- its first answer was lost
local standing = live and stamp or nil
if not again and (standing ~= ARGV[6] or now < tonumber(ARGV[5])) then
  if live then
    return {0, now, tonumber(written), stamp, value}
  end
  return {0, now}
end

expiry = math.max(again and expiry or 0, now + ARGV[4])
written = again and tonumber(written) or now
local life = int:format(math.ceil((expiry - now) / 1000))
if live then
  -- PEXPIRE first: a server whose memory is full lets a script finish that has begun to write
  redis.call('PEXPIRE', KEYS[1], life)
end
redis.call('ZADD', KEYS[2], int:format(expiry), ARGV[1])
redis.call('HSET', KEYS[1], 's', ARGV[2], 'v', ARGV[3], 'w', int:format(written),
  'e', int:format(expiry))
redis.call('PEXPIRE', KEYS[1], life) -- the record may be new

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', int:format(now))
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
if last then -- the index lives as long as the record that lives longest
  redis.call('PEXPIRE', KEYS[2], int:format(math.ceil((last - now) / 1000)))
end
return {1, now, written}
