-- Give a key to a claim, or say who has it.
-- KEYS  1 state (hash): o last holder, e its expiry (0: given back), t its token, a taken at,
--         p its publication, f floor (at_least) until, i task that set the floor,
--         g floor before that, h last holder that came as an heir, and as whose (a line each),
--         q expiry of what that heir had,
--         r last release ("holder token"), u undone holders, w watched until
--       2 tombstone (hash) of the claim's publication, where the message may be a copy:
--         c completed at, d 1: its result was still to be stored then, else 0
-- ARGV  1 holder  2 task id  3 ttl  4 at_least  5 publication  6 watch for  7 grace
--       8 heir that the claim takes the key over from, or nothing
--       9 a copy only of what was completed at this time or later (with KEYS 2)
--       (times in microseconds; the grace is how long a state outlives its use)
-- Answers token granted
--         {holder, since, now, free at, 1 live | 0 kept by at_least only, publication, token,
--          1 it is a copy of what was completed, 2 with its result still to be stored then | 0}
--         taken
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local holder, expiry, token, since, publication, floor, resting, undone = unpack(
  redis.call('HMGET', KEYS[1], 'o', 'e', 't', 'a', 'p', 'f', 'i', 'u'))
local int = '%.0f' -- tostring() knows 14 digits only

expiry, token = tonumber(expiry) or 0, tonumber(token) or 0
floor = tonumber(floor) or 0
local live = expiry > now

if live and holder == ARGV[1] then -- its first answer was lost: the same lease, prolonged
  expiry = math.max(expiry, now + ARGV[3])
  local rest = math.max(expiry, floor) - now + ARGV[7]
  -- PEXPIRE first: a server whose memory is full lets a script finish that has begun to write
  redis.call('PEXPIRE', KEYS[1], int:format(math.ceil(rest / 1000)))
  redis.call('HSET', KEYS[1], 'e', int:format(expiry))
  return token
end

local done = 0
if KEYS[2] then
  local at, due = unpack(redis.call('HMGET', KEYS[2], 'c', 'd'))
  done = at and tonumber(at) >= tonumber(ARGV[9]) and 1 + due or 0
end
local inherits = live and ARGV[8] and ARGV[8] ~= '' and holder == ARGV[8]
local kept = floor > now and resting ~= ARGV[2]
if done > 0 or (live and not inherits) or kept
    or (undone and undone:find('\n' .. ARGV[1] .. '\n', 1, true)) then
  if ARGV[6] ~= '0' and (live or kept) then
    redis.call('HSET', KEYS[1], 'w', int:format(now + ARGV[6]))
  end
  local free = math.max(live and expiry or now, kept and floor or now)
  return {holder or '', tonumber(since) or 0, now, free, live and 1 or 0, publication or '',
    token, done}
end

-- greater than every token before it, also when this state was lost or the clock stepped back
token = math.max(token + 1, now)
local before = floor > now and floor or 0 -- only its own task gets here before a floor's end
local last = math.max(before, now + ARGV[4])
if inherits then -- should the claim be undone, it is left to the heir again
  redis.call('HSET', KEYS[1], 'h', ARGV[1] .. '\n' .. holder, 'q', int:format(expiry))
end
expiry = now + ARGV[3]
if last > now or floor > 0 then
  redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', int:format(expiry), 't', int:format(token),
    'a', int:format(now), 'p', ARGV[5],
    'f', int:format(last > now and last or 0), 'i', ARGV[2], 'g', int:format(before))
else
  redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', int:format(expiry), 't', int:format(token),
    'a', int:format(now), 'p', ARGV[5])
end
local rest = math.max(expiry, last) - now + ARGV[7]
redis.call('PEXPIRE', KEYS[1], int:format(math.ceil(rest / 1000)))
return token
