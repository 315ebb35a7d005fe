-- Give several permits back, each as release.lua does.
-- KEYS  of each release: those of release.lua
-- ARGV  of each release: how many keys and how many arguments of release.lua follow, and these
-- Answers what release.lua does, for each; -1 where that failed
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function released(KEYS, ARGV)
-- release.lua
end

local answers, key, arg = {}, 1, 1
while ARGV[arg] do
  local last, stop = key + ARGV[arg] - 1, arg + 1 + ARGV[arg + 1]
  -- pcall: one key that is no hash must not fail the others
  local done, answer = pcall(released, {unpack(KEYS, key, last)}, {unpack(ARGV, arg + 2, stop)})
  answers[#answers + 1] = done and type(answer) == 'number' and answer or -1
  key, arg = last + 1, stop + 1
end
return answers
