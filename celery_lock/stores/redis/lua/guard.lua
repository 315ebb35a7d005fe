-- Say for how long a server has kept all leases. It has forgotten some as it began without its
-- data, or as it became the primary before it had all that the one before it had.
-- KEYS  1 who wrote this last (hash): r run id of that server, s since when it has kept all
-- ARGV  1 run id of this server  2 how long it has been up
--       3 1: it was a replica before, nobody knows until when  4 how long the mark is kept
-- Answers microseconds
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local run, since = unpack(redis.call('HMGET', KEYS[1], 'r', 's'))
since = tonumber(since)
if run ~= ARGV[1] or not since or since > now then
  since = ARGV[3] == '1' and now or now - ARGV[2]
  redis.call('HSET', KEYS[1], 'r', ARGV[1], 's', string.format('%.0f', since))
end
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[4] / 1000))
return now - since
