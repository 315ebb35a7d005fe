-- Give a permit back; nobody but its holder can.
-- KEYS  1 state  2 wake list  3 record of a publication, where it is to say that its run has ended
-- ARGV  1 task id  2 nonce  3 token, or '': any  4 slot  5 grace
--       6 life of the record  7 1: recorded only where a copy was seen, else 0
--       8 state of the heir to leave it to, or ''  9 how long the heir has
--       10 what the heir shows as its publication, or ''
--       11 for how long from the acquire on others are kept out
--       (11, 8 to 11, or 6 to 11 may be left out)
-- Answers 1 freed in time, now or by an earlier call whose answer was lost; 0 no longer held;
--         and 2 more where the end was recorded
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = ARGV[5] + (ARGV[6] or 0) + (ARGV[9] or 0) + (ARGV[11] or 0)
-- kept.lua
local i = ARGV[4] == '0' and '' or ARGV[4]
local k, c, t, e, x, watched, places = unpack(redis.call('HMGET', KEYS[1], 'k' .. i, 'c' .. i,
  't' .. i, 'e' .. i, 'x' .. i, 'w', 'n'))
local any = ARGV[3] == '' -- the nonce is proof enough
if any then
  ARGV[3] = t or ''
end
local his = k == ARGV[1] and c == ARGV[2] and t == ARGV[3]
local held = his and e and tonumber(e) > now

local in_time = held
if not held then
  if his then
    in_time = not e or tonumber(e) < 0
  else
    local mark = (ARGV[2] ~= '' and ARGV[2] or ARGV[1]) .. ' '
    local gave = redis.call('HMGET', KEYS[1], 'r' .. i)[1]
    in_time = gave == mark .. ARGV[3] or (any and gave and gave:sub(1, #mark) == mark)
  end
end
-- the body has run, whether its lease was lost or not; if it was, a copy may have met somebody else
local met, told, before
if KEYS[3] then
  met, told, before = unpack(redis.call('HMGET', KEYS[3], 'm', 'c', 'e'))
end
local seen = KEYS[3] and (met or not in_time)
local ended = KEYS[3] and (seen or ARGV[7] == '0')
local answer = (in_time and 1 or 0) + (ended and 2 or 0)
-- a lease that has lapsed, and that nobody has ended, has a good end all the same
local floor = ARGV[11] and his and e and tonumber(e) > 0
if not (held or ended or floor) then
  return answer
end

local heir, adopted = ARGV[8] and ARGV[8] ~= '', false
local waited_for = watched and tonumber(watched) > now
if held and not heir then
  -- No HSET comes first: a server whose memory is full would refuse it. The expiry of the whole
  -- state is long enough as it is; too long only where a message was kept the key before.
  adopted = x and redis.call('HMGET', KEYS[1], 'h' .. i)[1]
  redis.call('HDEL', KEYS[1], 'e' .. i)
  if i ~= '' then
    redis.call('HSET', KEYS[1], 'e' .. i, -now)
  end
  if ended and not (met or told or before) then -- the usual record, in few steps
    redis.call('HSET', KEYS[3], 'e', now)
    redis.call('PEXPIRE', KEYS[3], math.ceil(ARGV[6] / 1000))
    ended = false
  end
  if not ended and not floor and not waited_for and not adopted then
    return answer
  end
end

-- shared.lua
if ended then
  record(KEYS[3], tonumber(ARGV[6]), seen, 'e', now)
end
if floor then
  local a, f
  if x then
    a, f = unpack(redis.call('HMGET', KEYS[1], 'a' .. i, 'f' .. i))
  end
  local until_ = math.max((a or t) + ARGV[11], tonumber(f) or 0)
  outlive(until_, tonumber(ARGV[5]))
  redis.call('HSET', KEYS[1], 'f' .. i, until_, 'x' .. i, 1)
  x = '1'
end
if not held then
  return answer
end
if heir then
  outlive(now + ARGV[9], tonumber(ARGV[5]))
  redis.call('HDEL', KEYS[1], 'h' .. i)
  redis.call('HSET', KEYS[1], 'd' .. i, '', 'p' .. i, '', 'c' .. i, '',
    'u' .. i, ARGV[10] or '', 'e' .. i, now + ARGV[9], 's' .. i, ARGV[8], 'x' .. i, 1, 'r' .. i, (c ~= '' and c or k) .. ' ' .. t)
  return answer
end
if adopted then
  shorten(places, tonumber(ARGV[5]), tonumber(e))
end
if not waited_for then
  return answer
end
local barred = x and tonumber(redis.call('HMGET', KEYS[1], 'f' .. i)[1]) or 0
if barred <= now then
  local limit = x and tonumber(redis.call('HMGET', KEYS[1], 'm' .. i)[1]) or 1
  wake(KEYS[2], free_permits(limit, places))
end
return answer
