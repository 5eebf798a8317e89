-- Deletes the streams of deleted runs, and wakes who still reads them.
--
-- KEYS        the streams
-- ARGV        's' in a cluster, then the readers' channel of each

for at, key in ipairs(KEYS) do
  redis.call('UNLINK', key)
  redis.call(ARGV[1] == 's' and 'SPUBLISH' or 'PUBLISH', ARGV[at + 1], '[]')
end
return 1
