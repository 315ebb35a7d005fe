-- Give several keys to the claims of one holder, or none of them.
-- KEYS  of each claim: those of acquire.lua, and then its wake list where it watches
-- ARGV  of each claim: how many keys and how many arguments of acquire.lua follow, and these; none
--         follow where they are those of the claim before
-- Answers {token, slot, token, slot ...} granted
--         {number of the claim from 1, answer of acquire.lua} refused: of all that are, the first
--           in the order in which a claim is judged
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- Answers what the claim meets, or nil; what is to be done then; how many permits are free.
local function judged(KEYS, ARGV)
local smallest, taken = 1, 0
-- acquire.lua
end

local claims, go, refused = {}, {}, false
local key, arg, number, args = 1, 1, 0, nil
while ARGV[arg] do
  local last, stop = key + ARGV[arg] - 1, arg + 1 + ARGV[arg + 1]
  if ARGV[arg + 1] ~= '0' then
    args = {unpack(ARGV, arg + 2, stop)}
  end
  local one = {keys = {unpack(KEYS, key, last)}, args = args}
  number, key, arg = number + 1, last + 1, stop + 1
  if args[9] ~= '0' then
    one.wakes, key = KEYS[key], key + 1
  end
  one.met, go[number], one.free = judged(one.keys, args)
  if one.met then
    if type(one.met) == 'table' then -- an error
      return one.met
    end
    refused = true
  end
  claims[number] = one
end

if not refused then
  local answer = {}
  for at = 1, number do
    local token, slot = go[at](), 0
    if type(token) == 'table' then
      token, slot = token[1], token[2]
    end
    answer[2 * at - 1], answer[2 * at] = token, slot
  end
  return answer
end

local ORDER = {undone = 1, publication = 2, done = 3, ended = 4, task = 5, unconfirmed = 6, other = 7}
local first = nil
for at, one in ipairs(claims) do
  if one.met and not (first and ORDER[claims[first].met] <= ORDER[one.met]) then
    first = at
  end
end
local meets = claims[first].met

-- shared.lua
for at, one in ipairs(claims) do
  if at ~= first then
    if one.args[12] and one.args[12] ~= '' and (meets == 'publication' or meets == 'ended') then
      record(one.keys[2], 0, true, 'm', 1) -- as of a claim that is refused for this alone
    end
    if one.wakes and not one.met and one.free > 0 then
      local watched = redis.call('HMGET', one.keys[1], 'w')[1]
      if watched and tonumber(watched) > now then
        wake(one.wakes, one.free) -- a wake that this claim has used up
      end
    end
  end
end
return {first, go[first]()}
