-- What the scripts of leases have in common: it stands where they say "-- shared.lua".
-- KEYS  1 state of a key (hash). Of the key: n places in use (1: left out), w watched
--         until, z undone claims ("holder until" a line).
--         Of each permit, with its slot behind the letter (slot 0: the letter alone): k task id,
--         d node, p pid, c nonce, u publication, t token, e lease ends at (0: freed or undone;
--         left out, or minus the time: given back), r release before ("nonce token"); and with
--         x = 1 where it differs from the usual: a taken at (the token), s state (q and a number:
--         kept for that retry; u: unconfirmed; left out: running), m limit (1), f floor (at_least)
--         until, g floor before this claim, h what the claim took over ("state expiry", and
--         after a space what it showed as its publication)
--         Record of a publication (hash): c told at, e ended at, m 1: a copy was seen while it
--         ran; d 1: c is of the release before, and when it ended
-- ARGV  of the script
-- Answers as the script says; an error CELERYLOCK for a state that this release does not know
--         (times in microseconds; a grace is how long a state outlives its use)
local ENDED_FOR, MET_FOR = 10000000, 86400000000 -- as in celery_lock/model/claim.py

local function suffix(slot)
  return slot == 0 and '' or tostring(slot)
end

local fields = {} -- of the permits of the key, by name

local function ask(i, ...)
  local names = {...}
  for at = 1, #names do
    names[at] = names[at] .. i
  end
  local values = redis.call('HMGET', KEYS[1], unpack(names))
  for at = 1, #names do
    fields[names[at]] = values[at]
  end
end

-- Read all permits before `permit` shows one. Where there are several that is one call: each field
-- that is asked for by its name is looked for among all of them. Who may not do that waits longer.
local function read(places)
  local count = tonumber(places) or 1
  local all = count > 1 and redis.pcall('HGETALL', KEYS[1])
  fields = {}
  if all and not all.err then
    for at = 1, #all, 2 do
      fields[all[at]] = all[at + 1]
    end
    return
  end
  for slot = 0, count - 1 do
    local i = suffix(slot)
    ask(i, 'k', 'd', 'p', 'c', 'u', 't', 'e', 'r', 'x')
    if fields['x' .. i] then
      ask(i, 'a', 's', 'm', 'f', 'g', 'h')
    end
  end
end

-- One permit with all that is known of it.
local function permit(slot)
  local i = suffix(slot)
  local k, d, p, c, u, t, e, r, x = fields['k' .. i], fields['d' .. i], fields['p' .. i],
    fields['c' .. i], fields['u' .. i], fields['t' .. i], fields['e' .. i], fields['r' .. i],
    fields['x' .. i]
  local a, s, m, f, g, h
  if x then
    a, s, m, f, g, h = fields['a' .. i], fields['s' .. i], fields['m' .. i], fields['f' .. i],
      fields['g' .. i], fields['h' .. i]
  end
  local one = {slot = slot, k = k or '', d = d or '', p = p or '', c = c or '', u = u or '',
    token = tonumber(t) or 0, known = t, e = tonumber(e), r = r, x = x, a = tonumber(a),
    s = s or '', h = h, limit = tonumber(m) or 1, floor = tonumber(f) or 0,
    before = tonumber(g) or 0}
  one.expiry = math.max(one.e or 0, 0)
  one.live = one.expiry > now
  one.free_at = math.max(one.live and one.expiry or 0, one.floor > now and one.floor or 0)
  return one
end

local function is_known(one)
  return one.s == '' or one.s == 'u' or one.s:find('^q%d+$') ~= nil
end

local function unknown(one)
  return {err = 'CELERYLOCK state ' .. one.s}
end

local function shown(one)
  return {one.slot, one.k, one.d, one.p, one.c, one.s, one.a or one.token, one.expiry, one.floor,
    one.token, one.u}
end

-- How many permits may be had now, `limit` in all: as many wakes are of use.
local function free_permits(limit, places)
  local free = limit
  if limit > 1 then
    read(places)
  end
  for slot = 0, limit > 1 and (tonumber(places) or 1) - 1 or -1 do
    free = free - (permit(slot).free_at > now and 1 or 0)
  end
  return math.max(free, 1)
end

-- Tell whoever watches the key that `free` permits may be had.
local function wake(list, free)
  redis.call('LPUSH', list, '1')
  redis.call('LTRIM', list, 0, free - 1)
  redis.call('PEXPIRE', list, 5000) -- a wake that nobody took is no news after a while
end

-- A server whose memory is full lets a script finish that has begun to write, and PEXPIRE may
-- begin: so it comes before HSET. It shortens nothing that another permit needs.
local function outlive(until_, grace)
  local life = math.ceil((math.max(until_ - now, 0) + grace) / 1000)
  redis.call('PEXPIRE', KEYS[1], math.max(life, redis.call('PTTL', KEYS[1])))
end

-- Let the state live no longer than what is left in it, nor than the lease that has just ended was
-- to live: its release may come again for so long. A lease that was kept for a message may have been
-- promised for a day, and ended within a second.
local function shorten(places, grace, until_)
  local watched, marks = unpack(redis.call('HMGET', KEYS[1], 'w', 'z'))
  until_ = math.max(until_, tonumber(watched) or 0)
  for ends in (marks or ''):gmatch(' (%d+)\n') do
    until_ = math.max(until_, tonumber(ends))
  end
  read(places)
  for slot = 0, (tonumber(places) or 1) - 1 do
    until_ = math.max(until_, permit(slot).free_at)
  end
  redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(until_ - now, 0) + grace) / 1000))
end

local function claimant(k, d, p, c)
  return (k .. '#' .. d .. '#' .. p .. '#' .. c):gsub('%s', '_')
end

-- When the run of a publication was told, and when it ended, as its record has it; 0: never.
local function when(name)
  local told, ended, due = unpack(redis.call('HMGET', name, 'c', 'e', 'd'))
  if due == '1' then
    told, ended = nil, ended or told
  end
  return tonumber(told) or 0, tonumber(ended) or 0
end

-- Write into the record of a publication, which lives for so long: a day where a copy was seen.
local function record(name, life, seen, field, value)
  life = math.ceil(math.max(life, seen and MET_FOR or 0) / 1000)
  local left = redis.call('PTTL', name)
  life = math.max(life, left)
  redis.call('PEXPIRE', name, life) -- first, as above
  redis.call('HSET', name, field, value)
  if left < 0 then -- the record is new
    redis.call('PEXPIRE', name, life)
  end
end
