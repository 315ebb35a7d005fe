-- Who has a key. Changes nothing.
-- KEYS  1 state
-- ARGV  none
-- Answers nil free
--         {now, free at, the permit that comes free first, all that are taken ...} as acquire
--         shows them
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- shared.lua
local places, t = unpack(redis.call('HMGET', KEYS[1], 'n', 't'))
local all, first = {}, nil
read(places)
for slot = 0, (tonumber(places) or (t and 1 or 0)) - 1 do
  local one = permit(slot)
  if one.free_at > now then
    if not is_known(one) then
      return unknown(one)
    end
    all[#all + 1] = shown(one)
    if not first or one.free_at < first.free_at then
      first = one
    end
  end
end
if not first then
  return nil
end
return {now, first.free_at, shown(first), unpack(all)}
