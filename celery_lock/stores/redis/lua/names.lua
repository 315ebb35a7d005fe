-- The names of the records of a space that are alive. Changes nothing.
-- KEYS  1 index of the space (sorted set): the names of its records by their expiry
-- ARGV  none
-- Answers names, in no order that means anything
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
return redis.call('ZRANGE', KEYS[1], string.format('(%.0f', now), '+inf', 'BYSCORE')
