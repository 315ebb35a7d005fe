-- End the lease of a holder that cannot give it back, and of nobody else.
-- KEYS  1 state  2 wake list
-- ARGV  1 task id  2 node  3 pid  4 nonce  5 state, or ''  6 1: the nonce is a beginning, else 0
--       7 grace  8 1: its floor as well, else 0
-- Answers nil it has none
--         {now, free at, permit of whoever had it, all who had a permit ...} as acquire shows them
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = tonumber(ARGV[7])
-- kept.lua
-- shared.lua
local his, all, free_at, watched = nil, {}, nil, nil
local places, t
places, t, watched = unpack(redis.call('HMGET', KEYS[1], 'n', 't', 'w'))
local ended = {}
read(places)
for slot = 0, (tonumber(places) or (t and 1 or 0)) - 1 do
  local one = permit(slot)
  local named = one.k == ARGV[1] and one.d == ARGV[2] and one.p == ARGV[3]
    and (one.s == ARGV[5] or (one.s == 'u' and ARGV[5] == ''))
    and (one.c == ARGV[4] or (ARGV[6] == '1' and one.c:sub(1, #ARGV[4]) == ARGV[4]))
  if one.s == 'u' and ARGV[5] ~= '' then -- the message that it was claimed for has ended
    named = one.k == ARGV[1]
  end
  if one.free_at > now then
    all[#all + 1] = shown(one)
    free_at = math.min(free_at or one.free_at, one.free_at)
  end
  local barring = ARGV[8] == '1' and one.floor > now
  if named and (one.live or barring) then
    his = his or one
    ended[#ended + 1] = one
  end
end
if not his then
  return nil
end
outlive(0, tonumber(ARGV[7]))
local limit, freed, until_ = 1, false, 0
for _, one in ipairs(ended) do
  if one.s == '' then -- else it was kept for a message
    until_ = math.max(until_, one.expiry)
  end
  local i = suffix(one.slot)
  if one.expiry > 0 then -- what was given back before stays so
    redis.call('HSET', KEYS[1], 'e' .. i, 0)
  end
  if ARGV[8] == '1' and one.floor > 0 then
    redis.call('HSET', KEYS[1], 'f' .. i, 0)
    one.floor = 0
  end
  limit = math.max(limit, one.limit)
  freed = freed or one.floor <= now
end
shorten(places, tonumber(ARGV[7]), until_)
if freed and watched and tonumber(watched) > now then
  wake(KEYS[2], free_permits(limit, places))
end
return {now, free_at or now, shown(his), unpack(all)}
