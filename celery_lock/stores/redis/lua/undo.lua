-- Take back a claim whose answer is not known, as if it had never been made.
-- KEYS  1 state  2 wake list
-- ARGV  1 holder  2 grace (microseconds)
-- Answers 1 it had been granted and is free again; 0 it had not, and will not be any more
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local holder, expiry, floor, before, undone, watched, heir, owed = unpack(
  redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'g', 'u', 'w', 'h', 'q'))
local granted = holder == ARGV[1] and expiry ~= '0'
local last = math.max(tonumber(expiry) or 0, tonumber(floor) or 0) -- another's lease stays
if granted then
  last = tonumber(before) or 0
end
-- what it took over from an heir is the heir's again
local came_as = ARGV[1] .. '\n'
heir = granted and heir and heir:sub(1, #came_as) == came_as and heir:sub(#came_as + 1)
if heir then
  last = math.max(last, tonumber(owed))
end
local rest = string.format('%.0f', math.ceil((math.max(last - now, 0) + ARGV[2]) / 1000))

-- the claim may still be on its way: it is refused when it arrives. The last eight are kept,
-- since one outage of the server can make several claimants of a key give up.
undone = undone or '\n'
if not undone:find('\n' .. ARGV[1] .. '\n', 1, true) then
  undone = '\n' .. ARGV[1] .. undone
  local stop = 0
  for _ = 1, 9 do
    stop = stop and undone:find('\n', stop + 1, true)
  end
  undone = stop and undone:sub(1, stop) or undone
end

-- PEXPIRE first: a server whose memory is full lets a script finish that has begun to write
redis.call('PEXPIRE', KEYS[1], rest)
redis.call('HSET', KEYS[1], 'u', undone)
if granted then
  redis.call('HSET', KEYS[1], 'o', heir or holder, 'e', heir and owed or '0', 'f', before or '0')
  if last <= now and (tonumber(watched) or 0) > now then
    redis.call('LPUSH', KEYS[2], '1')
    redis.call('LTRIM', KEYS[2], 0, 0)
    redis.call('PEXPIRE', KEYS[2], 5000)
  end
end
redis.call('PEXPIRE', KEYS[1], rest) -- the key may be new
return granted and 1 or 0
