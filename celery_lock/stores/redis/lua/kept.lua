-- Lets a script write nothing before it is known that all can be: it stands where one says
-- "-- kept.lua", behind `kept`, the longest time that the script writes (nil: no number).
-- KEYS  of the script
-- ARGV  of the script
-- Answers an error where PEXPIRE would refuse that time, in microseconds, half-way
if not (kept and kept >= 0 and kept <= 4e15) then
  return {err = 'CELERYTIME nothing was written: a time is longer than can be kept'}
end
