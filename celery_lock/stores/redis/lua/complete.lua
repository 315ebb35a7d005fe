-- Let publications be completed from now on: all that follows their runs is out.
-- KEYS  the record of each publication
-- ARGV  the life of each record
-- Answers how many there are
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for at = 1, #KEYS do
  local kept = tonumber(ARGV[at])
-- kept.lua
end
-- shared.lua
for at, name in ipairs(KEYS) do
  -- pcall: one key that is no hash must not fail the whole batch
  local fields = redis.pcall('HMGET', name, 'm', 'd')
  if not fields.err then
    record(name, tonumber(ARGV[at]), fields[1], 'c', now)
    if fields[2] then
      redis.call('HDEL', name, 'd')
    end
  end
end
return #KEYS
