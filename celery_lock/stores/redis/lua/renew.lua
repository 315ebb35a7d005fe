-- Let many leases live on, in one step; what has expired is not revived.
-- KEYS  one state each
-- ARGV  1 grace, then for each state: task id, nonce, token (or '': any), slot, ttl
-- Answers one number for each state: 1 renewed, 0 not yours any more
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for at = 1, #KEYS do
  local kept = ARGV[5 * at + 1] + ARGV[1]
-- kept.lua
end
local answers = {}
for at, state in ipairs(KEYS) do
  local task, nonce, token, slot, ttl = unpack(ARGV, 5 * at - 3, 5 * at + 1)
  local i = slot == '0' and '' or slot
  -- pcall: one key that is no hash must not fail the whole batch
  local fields = redis.pcall('HMGET', state, 'k' .. i, 'c' .. i, 't' .. i, 'e' .. i, 'x' .. i, 'n')
  if token == '' then -- the nonce is proof enough
    token = fields[3]
  end
  if not fields.err and fields[1] == task and fields[2] == nonce and fields[3] == token
      and fields[4] and tonumber(fields[4]) > now then
    local life = math.ceil((ttl + ARGV[1]) / 1000)
    if fields[5] or fields[6] then -- a floor, or another permit, may need the state for longer
      life = math.max(life, redis.call('PTTL', state))
    end
    -- PEXPIRE first: a full server lets a script finish that has begun to write
    redis.call('PEXPIRE', state, life)
    redis.call('HSET', state, 'e' .. i, now + ttl)
    answers[at] = 1
  else
    answers[at] = 0
  end
end
return answers
