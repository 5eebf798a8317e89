-- Appends to a durable stream, or closes it, or both, and wakes its readers.
--
-- KEYS        its meta, its log, its producers, its forks
-- ARGV        's' in a cluster, the readers' channel, content type as it is compared, '1' to close, order among writers as hex or '',
--             producer or '', its epoch, its number, payload ('' to close only)
-- Returns     a word, epoch, bytes, '1' if closed, a number:
--             missing, gone; written, closing, already (was closed before); duplicate (number: the highest that was taken);
--             stale (number: the producer's epoch), restart (a new epoch must begin at 0), gap (number: what is expected);
--             closed, media, order

local stored = redis.call('HMGET', KEYS[1], 'epoch', 'tail', 'closed', 'gone', 'kind', 'order', 'life', 'until', 'closer')
local epoch, tail, closed, gone, kind, order, life, ends, closer = unpack(stored, 1, 9)
if not epoch then
  return { 'missing', '0', '0', '', 0 }
end
if gone then
  return { 'gone', epoch, tail, '', 0 }
end

local close, seq, producer, payload = ARGV[4] == '1', ARGV[5], ARGV[6], ARGV[9]
local their_epoch, their_number = tonumber(ARGV[7]), tonumber(ARGV[8])
local known_epoch, known_number
if producer ~= '' then
  local state = redis.call('HGET', KEYS[3], producer)
  if state then
    known_epoch, known_number = string.match(state, '^(%d+):(%d+)$')
    known_epoch, known_number = tonumber(known_epoch), tonumber(known_number)
  end
end

local function judged()
  if known_epoch and their_epoch < known_epoch then
    return 'stale', known_epoch
  end
  if closed ~= '' then
    if producer ~= '' and closer == producer .. ':' .. ARGV[7] .. ':' .. ARGV[8] then
      return 'duplicate', their_number
    end
    return (producer == '' and payload == '') and 'already' or 'closed', 0
  end
  if payload ~= '' and ARGV[3] ~= kind then
    return 'media', 0
  end
  if producer ~= '' then
    if known_epoch == their_epoch and their_number <= known_number then
      return 'duplicate', known_number
    end
    if known_epoch and their_epoch > known_epoch and their_number ~= 0 then
      return 'restart', 0
    end
    local expected = known_epoch == their_epoch and known_number + 1 or 0
    if their_number ~= expected then
      return 'gap', expected
    end
  end
  -- Both are hex, whose order is that of the bytes whatever the server's locale.
  if seq ~= '' and order and seq <= order then
    return 'order', 0
  end
  return payload == '' and 'closing' or 'written', their_number or 0
end

local word, number = judged()
if word == 'written' or word == 'closing' then
  if payload ~= '' then
    tail = string.format('%.0f', tonumber(tail) + #payload)
    redis.call('XADD', KEYS[2], epoch .. '-' .. tail, 'b', payload)
    redis.call('HSET', KEYS[1], 'tail', tail)
  end
  if seq ~= '' then
    redis.call('HSET', KEYS[1], 'order', seq)
  end
  if producer ~= '' then
    redis.call('HSET', KEYS[3], producer, ARGV[7] .. ':' .. ARGV[8])
  end
  if close then
    closed = '1'
    redis.call('HSET', KEYS[1], 'closed', '1', 'closer', producer == '' and '' or producer .. ':' .. ARGV[7] .. ':' .. ARGV[8])
  end
  local sharded = ARGV[1] == 's'
  if redis.call('PUBSUB', sharded and 'SHARDNUMSUB' or 'NUMSUB', ARGV[2])[2] > 0 then
    redis.call(sharded and 'SPUBLISH' or 'PUBLISH', ARGV[2], '[]')
  end
end
if word == 'written' or word == 'closing' or word == 'already' or word == 'duplicate' then
  for at = 1, 4 do
    if ends ~= '' then
      redis.call('PEXPIREAT', KEYS[at], ends)
    else
      redis.call('PEXPIRE', KEYS[at], life)
    end
  end
end
return { word, epoch, tail, closed, number }
