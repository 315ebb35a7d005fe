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

-- of each claim, by its number
local keys, args, wakes, met, go, free = {}, {}, {}, {}, {}, {}
local key, arg, number, refused = 1, 1, 0, false
while ARGV[arg] do
  local last, stop = key + ARGV[arg] - 1, arg + 1 + ARGV[arg + 1]
  number = number + 1
  keys[number] = {unpack(KEYS, key, last)}
  args[number] = stop == arg + 1 and args[number - 1] or {unpack(ARGV, arg + 2, stop)}
  key, arg = last + 1, stop + 1
  if (args[number][12] or '0') ~= '0' then
    wakes[number], key = KEYS[key], key + 1
  end
  met[number], go[number], free[number] = judged(keys[number], args[number])
  if met[number] then
    if type(met[number]) == 'table' then -- an error
      return met[number]
    end
    refused = true
  end
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
for at = 1, number do
  if met[at] and not (first and ORDER[met[first]] <= ORDER[met[at]]) then
    first = at
  end
end
local meets = met[first]

-- shared.lua
for at = 1, number do
  local since = args[at][9]
  if at ~= first and since and since ~= '' and (meets == 'publication' or meets == 'ended') then
    record(keys[at][2], 0, true, 'm', 1) -- as of a claim that is refused for this alone
  end
  if at ~= first and wakes[at] and not met[at] and free[at] > 0 then
    local watched = redis.call('HMGET', keys[at][1], 'w')[1]
    if watched and tonumber(watched) > now then
      wake(wakes[at], free[at]) -- a wake that this claim has used up
    end
  end
end
return {first, go[first]()}
