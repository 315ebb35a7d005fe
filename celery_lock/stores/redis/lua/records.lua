-- How many records of a space stand, all at one moment. Changes nothing.
-- KEYS  one record each
-- ARGV  none
-- Answers {now, then for each record: {written at, stamp, value}, or nil: there is none}
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local answers = {now}
for i, record in ipairs(KEYS) do
  -- pcall: one key that is no hash must not fail the whole batch
  local fields = redis.pcall('HMGET', record, 's', 'v', 'w', 'e')
  if not fields.err and fields[4] and tonumber(fields[4]) > now then
    answers[1 + i] = {tonumber(fields[3]), fields[1], fields[2]}
  else
    answers[1 + i] = false
  end
end
return answers
