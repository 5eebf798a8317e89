-- Deletes a durable stream, and wakes its readers. While forks of it live its name stays taken.
--
-- KEYS        its meta, its log, its producers, its forks
-- ARGV        's' in a cluster, the readers' channel
-- Returns     missing, gone, kept or deleted; then what it is a fork of, that one's id, and its own id

local stored = redis.call('HMGET', KEYS[1], 'id', 'gone', 'from', 'from_id')
if not stored[1] then
  return { 'missing' }
end
if stored[2] then
  return { 'gone' }
end
-- A fork has a copy of its own: nothing is lost with the log.
redis.call('UNLINK', KEYS[2], KEYS[3])
redis.call(ARGV[1] == 's' and 'SPUBLISH' or 'PUBLISH', ARGV[2], '[]')
if redis.call('HLEN', KEYS[4]) > 0 then
  redis.call('HSET', KEYS[1], 'gone', '1')
  return { 'kept' }
end
redis.call('UNLINK', KEYS[1], KEYS[4])
return { 'deleted', stored[3], stored[4], stored[1] }
