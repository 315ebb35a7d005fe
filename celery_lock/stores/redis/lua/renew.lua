-- Let many leases live on, in one step; what has expired is not revived.
-- KEYS  one state each
-- ARGV  1 grace, then for each state: holder, token, ttl (microseconds)
-- Answers one number for each state: 1 renewed, 0 not yours any more
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local int = '%.0f'

local answers = {}
for i, state in ipairs(KEYS) do
  local holder, token, ttl = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  -- pcall: one key that is no hash must not fail the whole batch
  local fields = redis.pcall('HMGET', state, 'o', 't', 'e', 'f')
  if not fields.err and fields[1] == holder and fields[2] == token
      and tonumber(fields[3]) > now then
    local expiry = now + ttl
    local rest = math.max(expiry, tonumber(fields[4]) or 0) - now + ARGV[1]
    -- PEXPIRE first: a full server lets a script finish that has begun to write
    redis.call('PEXPIRE', state, int:format(math.ceil(rest / 1000)))
    redis.call('HSET', state, 'e', int:format(expiry))
    answers[i] = 1
  else
    answers[i] = 0
  end
end
return answers
