-- Give a permit back; nobody but its holder can.
-- KEYS  1 state  2 wake list  3 tombstone of a publication, if its completion is recorded
-- ARGV  1 task id  2 nonce  3 token  4 slot  5 grace
--       6 life of the tombstone  7 state of the heir to leave it to, or ''  8 how long the heir
--       has  9 1: the result is still to be stored, else 0 (6 to 9 may be left out together)
-- Answers 1 freed in time, now or by an earlier call whose answer was lost; 0 no longer held
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local i = ARGV[4] == '0' and '' or ARGV[4]
local k, c, t, e, x, watched, places = unpack(redis.call('HMGET', KEYS[1], 'k' .. i, 'c' .. i,
  't' .. i, 'e' .. i, 'x' .. i, 'w', 'n'))
local his = k == ARGV[1] and c == ARGV[2] and t == ARGV[3]
local held = his and e and tonumber(e) > now

if KEYS[3] then -- the body has run, whether its lease was lost or not
  redis.call('HSET', KEYS[3], 'c', now, 'd', ARGV[9])
  redis.call('PEXPIRE', KEYS[3], math.ceil(ARGV[6] / 1000))
end
if not held then
  if his then
    return (not e or tonumber(e) < 0) and 1 or 0
  end
  local mark = (ARGV[2] ~= '' and ARGV[2] or ARGV[1]) .. ' ' .. ARGV[3]
  return redis.call('HMGET', KEYS[1], 'r' .. i)[1] == mark and 1 or 0
end

local heir = ARGV[7] and ARGV[7] ~= ''
if not heir then
  -- No HSET comes first: a server whose memory is full would refuse it. The expiry of the whole
  -- state is long enough as it is.
  redis.call('HDEL', KEYS[1], 'e' .. i)
  if i ~= '' then
    redis.call('HSET', KEYS[1], 'e' .. i, -now)
  end
  if not watched or tonumber(watched) <= now then
    return 1
  end
end

-- shared.lua
if heir then
  outlive(now + ARGV[8], tonumber(ARGV[5]))
  redis.call('HDEL', KEYS[1], 'h' .. i)
  redis.call('HSET', KEYS[1], 'd' .. i, '', 'p' .. i, '', 'c' .. i, '', 'e' .. i, now + ARGV[8],
    's' .. i, ARGV[7], 'x' .. i, 1, 'r' .. i, (c ~= '' and c or k) .. ' ' .. t)
  return 1
end
local floor = x and tonumber(redis.call('HMGET', KEYS[1], 'f' .. i)[1]) or 0
if floor <= now then
  local limit = x and tonumber(redis.call('HMGET', KEYS[1], 'm' .. i)[1]) or 1
  wake(KEYS[2], free_permits(limit, places))
end
return 1
