-- Keeps account of a durable stream's forks.
--
-- KEYS        its meta, its log, its producers, its forks
-- ARGV        what to do, its id, the fork, the fork's id
--             id: tell who has its name; list: tell the ids of its forks, and their paths
--             add: note a fork; drop: forget one, and with the last one the stream, if it was deleted
-- Returns     id: the id; list: ids and paths; add: 1, or 0 where it is gone or another one;
--             drop: what it was a fork of, that one's id, and its own id, if it is no more

local word = ARGV[1]
local stored = redis.call('HMGET', KEYS[1], 'id', 'gone', 'from', 'from_id')
if word == 'id' then
  return stored[1]
end
if word == 'list' then
  return redis.call('HGETALL', KEYS[4])
end
if stored[1] ~= ARGV[2] then
  return word == 'add' and 0 or {}
end
if word == 'add' then
  if stored[2] then
    return 0
  end
  redis.call('HSET', KEYS[4], ARGV[4], ARGV[3])
  local left = redis.call('PTTL', KEYS[1])
  redis.call('PEXPIRE', KEYS[4], left)
  return 1
end
redis.call('HDEL', KEYS[4], ARGV[4])
if stored[2] and redis.call('HLEN', KEYS[4]) == 0 then
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  return { stored[3], stored[4], stored[1] }
end
return {}
