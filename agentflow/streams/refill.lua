-- Writes a part of an ended run's log, which was made anew from the journal: its end after what is there, or all of it instead.
--
-- KEYS[1]     the stream
-- ARGV        ms to keep it, 's' in a cluster, the readers' channel, the id that must be its last ('' for the first part of
--             all: what is there is replaced unless it has an `end`), count, per event: id, t, p, d, ts
-- Returns     1, or 0 when there was nothing to do or somebody else is at it

local key, expected = KEYS[1], ARGV[4]
local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
if expected ~= '' then
  if not last or last[1] ~= expected then
    return 0
  end
elseif last then
  if last[2][2] == 'end' then
    return 0
  end
  redis.call('DEL', key)
end
for at = 6, 5 + 5 * tonumber(ARGV[5]), 5 do
  redis.call('XADD', key, ARGV[at], 't', ARGV[at + 1], 'p', ARGV[at + 2], 'd', ARGV[at + 3], 'ts', ARGV[at + 4])
end
redis.call('PEXPIRE', key, ARGV[1])
redis.call(ARGV[2] == 's' and 'SPUBLISH' or 'PUBLISH', ARGV[3], '[]')
return 1
