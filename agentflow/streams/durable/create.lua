-- Makes a durable stream, unless there is one.
--
-- KEYS        its meta, its log, its producers, its forks, a log that is to become its own (if ARGV[4] is '1')
-- ARGV        epoch ('' for now), bytes that the log has, ms to keep it idle, '1' if there is such a log, first payload,
--             names and values of its meta
-- Returns     1 if it was made, and its meta

local known = redis.call('HGETALL', KEYS[1])
if #known > 0 then
  return { 0, known }
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
if ARGV[4] == '1' and redis.call('EXISTS', KEYS[5]) == 1 then
  redis.call('RENAME', KEYS[5], KEYS[2])
end

local epoch, tail = ARGV[1], tonumber(ARGV[2])
if epoch == '' then
  local time = redis.call('TIME')
  epoch = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
end
if #ARGV[5] > 0 then
  tail = tail + #ARGV[5]
  redis.call('XADD', KEYS[2], epoch .. '-' .. string.format('%.0f', tail), 'b', ARGV[5])
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'tail', string.format('%.0f', tail), 'life', ARGV[3])
for at = 6, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
known = redis.call('HGETALL', KEYS[1])

local ends = redis.call('HGET', KEYS[1], 'until')
for at = 1, 2 do
  if ends ~= '' then
    redis.call('PEXPIREAT', KEYS[at], ends)
  else
    redis.call('PEXPIRE', KEYS[at], ARGV[3])
  end
end
return { 1, known }
