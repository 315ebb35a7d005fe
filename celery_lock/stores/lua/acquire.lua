-- Give a key to a claim, or say who has it.
-- KEYS  1 record (hash): o last holder, e its expiry (0: given back), t its token, a taken at,
--         p its publication, f floor (at_least) until, i task that set the floor,
--         g floor before that, r last release ("holder token"), u undone holders, w watched until
-- ARGV  1 holder  2 task id  3 ttl  4 at_least  5 publication  6 watch for  7 grace
--       (times in microseconds; the grace is how long a record outlives its use)
-- Answers token granted
--         {holder, since, now, free at, 1 live | 0 kept by at_least only, publication} taken
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

local kept = floor > now and resting ~= ARGV[2]
if live or kept or (undone and undone:find('\n' .. ARGV[1] .. '\n', 1, true)) then
  if ARGV[6] ~= '0' and (live or kept) then
    redis.call('HSET', KEYS[1], 'w', int:format(now + ARGV[6]))
  end
  local free = math.max(live and expiry or now, kept and floor or now)
  return {holder or '', tonumber(since) or 0, now, free, live and 1 or 0, publication or ''}
end

-- greater than every token before it, also when this record was lost or the clock stepped back
token = math.max(token + 1, now)
expiry = now + ARGV[3]
local before = floor > now and floor or 0 -- only its own task gets here before a floor's end
local last = math.max(before, now + ARGV[4])
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
