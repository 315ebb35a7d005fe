-- Take back a claim whose answer is not known, as if it had never been made.
-- KEYS  1 state  2 wake list
-- ARGV  1 task id  2 node  3 pid  4 nonce  5 grace  6 for how long the claim is refused from now
--       on, should it still be on its way
-- Answers 1 it had been granted and is free again; 0 it had not, and will not be any more
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = ARGV[5] + ARGV[6]
-- kept.lua
-- shared.lua
local places, t, marks, watched = unpack(redis.call('HMGET', KEYS[1], 'n', 't', 'z', 'w'))
local granted, until_ = {}, 0
read(places)
for slot = 0, (tonumber(places) or (t and 1 or 0)) - 1 do
  local one = permit(slot)
  if one.k == ARGV[1] and one.d == ARGV[2] and one.p == ARGV[3] and one.c == ARGV[4]
      and (one.s == '' or one.s == 'u') and one.expiry > 0 then
    granted[#granted + 1] = one
    one.left_to, one.left_until = '', 0
    if one.h then -- what it took over from an heir is the heir's again
      one.left_to, one.left_until, one.shown = one.h:match('^(%S+) (%d+) ?(.*)$')
      one.left_until = tonumber(one.left_until)
    end
    until_ = math.max(until_, one.before, one.left_until)
  end
end

local name = claimant(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
local kept = '\n' .. name .. string.format(' %.0f', now + ARGV[6]) .. '\n'
for line, ends in (marks or ''):gmatch('([^\n]+) (%d+)\n') do
  if line ~= name and tonumber(ends) > now then
    kept = kept .. line .. ' ' .. ends .. '\n'
  end
end

outlive(until_, tonumber(ARGV[5]))
redis.call('HSET', KEYS[1], 'z', kept)
local limit, freed = 1, false
for _, one in ipairs(granted) do
  local i = suffix(one.slot)
  redis.call('HSET', KEYS[1], 'e' .. i, one.left_until)
  if one.floor > 0 then
    redis.call('HSET', KEYS[1], 'f' .. i, one.before)
  end
  if one.left_to ~= '' then
    redis.call('HDEL', KEYS[1], 'h' .. i)
    redis.call('HSET', KEYS[1], 'd' .. i, '', 'p' .. i, '', 'c' .. i, '', 'u' .. i, one.shown,
      's' .. i, one.left_to)
  end
  limit = math.max(limit, one.limit)
  freed = freed or math.max(one.before, one.left_until) <= now
end
if freed and watched and tonumber(watched) > now then
  wake(KEYS[2], free_permits(limit, places))
end
outlive(now, tonumber(ARGV[5])) -- the key may be new
return #granted > 0 and 1 or 0
