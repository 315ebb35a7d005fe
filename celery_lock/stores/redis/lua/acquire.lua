-- Give a key to a claim, or say who has it.
-- KEYS  1 state  2 record of the claim's publication, where the message may be a copy
--       last, with several permits and ARGV 12: wake list
-- ARGV  1 task id  2 node  3 pid  4 nonce  5 ttl  6 publication  7 grace
--       8 how long the release of a permit beyond the first is remembered
--       9 a copy only of what was completed at this time or later, or '' (with KEYS 2)
--       10 at_least  11 limit  12 watch for
--       13 state of the heir of this task that the claim takes the key over from, or '': none
--       14 u: a publisher claims, its lease is unconfirmed
--       (9 to 14 may be left out from behind: few claims ask for one of the last five)
-- acquire_all.lua has this text in a function, where what stands between "-- once granted" or
-- "-- once refused" and "-- so far" waits until all claims are judged.
-- Answers token granted in slot 0
--         {token, slot} granted
--         {met, now, free at, whom it met, all who have a permit ...} refused
--           (each permit: slot, task id, node, pid, nonce, state, since, expiry, floor, token,
--            publication; whom it met: empty where nobody has ever had the key)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at_least, limit, watch = ARGV[10] or '0', ARGV[11] or '1', ARGV[12] or '0'
local kept = ARGV[5] + ARGV[7] + ARGV[8] + at_least + watch
-- kept.lua
local e, t, c, x, places, marks = unpack(redis.call('HMGET', KEYS[1], 'e', 't', 'c', 'x',
  'n', 'z'))

local state = ARGV[14] or ''

if not places and not marks and at_least == '0' and c ~= ''
    and (limit == '1' or watch == '0')
    and not (e and tonumber(e) > now) and not (t and tonumber(t) >= now)
    and not (x and (tonumber(redis.call('HMGET', KEYS[1], 'f')[1]) or 0) > now)
    and not (KEYS[2] and redis.call('PTTL', KEYS[2]) ~= -2) then
  -- the usual case, in few steps: nobody has it, no floor stands, and nothing unusual is asked
  -- once granted
  if x then
    redis.call('HDEL', KEYS[1], 'x', 'a', 's', 'm', 'f', 'g', 'h')
  end
  if t and (not e or tonumber(e) < 0) then
    redis.call('HSET', KEYS[1], 'k', ARGV[1], 'd', ARGV[2], 'p', ARGV[3], 'c', ARGV[4],
      'u', ARGV[6], 't', now, 'e', now + ARGV[5], 'r', c .. ' ' .. t)
  else
    redis.call('HSET', KEYS[1], 'k', ARGV[1], 'd', ARGV[2], 'p', ARGV[3], 'c', ARGV[4],
      'u', ARGV[6], 't', now, 'e', now + ARGV[5])
  end
  if state ~= '' then
    redis.call('HSET', KEYS[1], 's', state, 'x', 1)
  end
  if limit ~= '1' then
    redis.call('HSET', KEYS[1], 'm', limit, 'x', 1)
  end
  redis.call('PEXPIRE', KEYS[1], math.ceil((ARGV[5] + ARGV[7]) / 1000))
  return now
  -- so far
end

-- shared.lua
limit = tonumber(limit)
local expiry = now + ARGV[5]
local floor = at_least ~= '0' and now + at_least or 0
local grace = tonumber(ARGV[7])
local left_to = ARGV[13] ~= '' and ARGV[13]

-- Write the claim into a slot: `old` is the permit that it replaces, `heir` one it takes over.
local function grant(slot, old, heir, last_token)
  local i = suffix(slot)
  local token = math.max(last_token + 1, now)
  local before = old and old.floor > now and old.floor or 0
  floor = math.max(before, floor)
  -- a floor that stands was promised with the limit of the claim that set it, and an heir keeps
  -- the companions that its lease was claimed with
  local bound = heir and heir.limit or before > 0 and math.min(limit, old.limit) or limit
  local command = {'HSET', KEYS[1], 'k' .. i, ARGV[1], 'd' .. i, ARGV[2], 'p' .. i, ARGV[3],
    'c' .. i, ARGV[4], 'u' .. i, ARGV[6], 't' .. i, token, 'e' .. i, expiry}
  local function put(name, value)
    command[#command + 1] = name .. i
    command[#command + 1] = value
  end
  if old and old.x then
    redis.call('HDEL', KEYS[1], 'x' .. i, 'a' .. i, 's' .. i, 'm' .. i, 'f' .. i, 'g' .. i,
      'h' .. i)
  end
  if old and old.known and (old.e or -1) < 0 then
    put('r', (old.c ~= '' and old.c or old.k) .. ' ' .. old.known)
  elseif old and old.forgotten and old.r then
    put('r', old.r)
  end
  if token ~= now then put('a', now) end
  if bound > 1 then put('m', bound) end
  if floor > 0 then put('f', floor) end
  if before > 0 then put('g', before) end
  -- who adopts an unconfirmed lease has its message: undone, it is kept for that one
  if heir then
    local shown = heir.s ~= 'u' and heir.u ~= '' and ' ' .. heir.u or ''
    put('h', left_to .. ' ' .. string.format('%.0f', heir.expiry) .. shown)
  end
  if state ~= '' then put('s', state) end
  if token ~= now or bound > 1 or floor > 0 or heir or state ~= '' then put('x', 1) end
  redis.call(unpack(command))
  return token
end

local count = tonumber(places) or (t and 1 or 0)
local own, heir, resting, copy, same, unsure, first, lowest
local permits, taken, free_at = {}, 0, nil
local smallest, last_token = limit, 0
read(places)
for slot = 0, count - 1 do
  local one = permit(slot)
  permits[slot + 1] = one
  last_token = math.max(last_token, one.token)
  local mine = one.k == ARGV[1]
  one.barring = mine and (one.live and one.expiry or 0) or one.free_at
  if one.live and not is_known(one) then
    return unknown(one)
  end
  if one.live then
    if mine and one.d == ARGV[2] and one.p == ARGV[3] and one.c == ARGV[4] and one.s == state then
      own = own or one
    elseif mine and left_to and (one.s == left_to or one.s == 'u') then
      heir = heir or one
    else
      copy = copy or (ARGV[6] ~= '' and one.u == ARGV[6] and one)
      same = same or (mine and one)
      unsure = unsure or (one.s == 'u' and one)
    end
  elseif mine and one.floor > now then
    resting = resting or one
  end
  if one.barring > now then
    taken = taken + 1
    smallest = math.min(smallest, one.limit)
    if not free_at or one.barring < free_at then
      first, free_at = one, one.barring
    end
  end
  if not lowest and one.free_at <= now then
    lowest = slot
  end
end

if own then -- its first answer was lost: the same lease, prolonged
  -- once granted
  expiry = math.max(own.expiry, expiry)
  outlive(math.max(expiry, own.floor), grace)
  redis.call('HSET', KEYS[1], 'e' .. suffix(own.slot), expiry)
  if own.slot == 0 then
    return own.token
  end
  return {own.token, own.slot}
  -- so far
end

local undone, marked = false, false
if marks then
  for until_ in marks:gmatch(' (%d+)\n') do
    marked = marked or tonumber(until_) > now
  end
  local _, stop = marks:find('\n' .. claimant(ARGV[1], ARGV[2], ARGV[3], ARGV[4]) .. ' ', 1, true)
  undone = stop and tonumber(marks:match('^%d+', stop + 1)) > now
end
local asks = ARGV[9] and ARGV[9] ~= ''
local done, counts = nil, now
if asks then
  local first, told, ended = tonumber(ARGV[9]), when(KEYS[2])
  if told >= math.max(first, 1) then
    done = 'done'
  elseif ended >= math.max(first, 1) and ended + ENDED_FOR > now then
    done, counts = 'ended', ended + ENDED_FOR
  end
end

local met, whom = nil, first
if undone then
  met = 'undone'
elseif copy then
  met, whom = 'publication', copy
elseif done then
  met, free_at = done, math.max(free_at or now, counts)
elseif same then
  met, whom = 'task', same
elseif not heir and taken + 1 > smallest then
  met, whom = 'other', first
  if unsure then
    met, whom = 'unconfirmed', unsure
  end
end
if met then
  -- once refused
  if asks and (met == 'publication' or met == 'ended') then -- it is sent again, and waits for long
    record(KEYS[2], 0, true, 'm', 1)
  end
  if watch ~= '0' and taken > 0 then
    redis.call('HSET', KEYS[1], 'w', now + watch)
  end
  whom = whom or permits[1]
  local answer = {met, now, free_at or now, whom and shown(whom) or {}}
  for _, one in ipairs(permits) do
    if one.free_at > now then
      answer[#answer + 1] = shown(one)
    end
  end
  return answer
  -- so far
end

-- once granted
-- the last places are forgotten where they have been free for long: a limit may have shrunk
local slot = (heir or resting or {slot = lowest or count}).slot
local old = permits[slot + 1]
local until_ = math.max(expiry, floor)
while count > 1 do
  local one = permits[count]
  if one.free_at > now or math.abs(one.e or 0) + ARGV[8] > now then
    break
  end
  local i = suffix(one.slot)
  redis.call('HDEL', KEYS[1], 'k' .. i, 'd' .. i, 'p' .. i, 'c' .. i, 'u' .. i, 't' .. i, 'e' .. i,
    'r' .. i, 'x' .. i, 'a' .. i, 's' .. i, 'm' .. i, 'f' .. i, 'g' .. i, 'h' .. i)
  one.x, one.forgotten, count = nil, true, count - 1
end
if marks and not marked then
  redis.call('HDEL', KEYS[1], 'z')
end
local token = grant(slot, old, heir, last_token)
count = math.max(count, slot + 1)
if count ~= (tonumber(places) or 1) then
  if count > 1 then
    redis.call('HSET', KEYS[1], 'n', count)
  else
    redis.call('HDEL', KEYS[1], 'n')
  end
end
for _, one in ipairs(permits) do
  until_ = math.max(until_, one.free_at)
end
redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(until_, floor) - now + grace) / 1000))
if watch ~= '0' and limit > 1 and taken + 1 < smallest then
  wake(KEYS[#KEYS], smallest - taken - 1) -- who was woken passes on what is left
end
if slot == 0 then
  return token
end
return {token, slot}
-- so far
