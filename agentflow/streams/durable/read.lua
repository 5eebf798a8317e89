-- Reads a durable stream after a place.
--
-- KEYS        its meta, its log, its producers, its forks
-- ARGV        '1' if this keeps it alive, epoch of the place (0: whichever the stream has), bytes of the place ('' for no entries),
--             bytes to give at most if that is at least one entry, entries at most
-- Returns     its meta, and entries

local meta = redis.call('HGETALL', KEYS[1])
if #meta == 0 then
  return { meta, {} }
end
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'tail', 'gone', 'life', 'until')
local epoch, tail, gone, life, ends = unpack(stored, 1, 5)
if gone then
  return { meta, {} }
end
if ARGV[1] == '1' and ends == '' then
  for at = 1, 4 do
    redis.call('PEXPIRE', KEYS[at], life)
  end
end
if ARGV[3] == '' or (ARGV[2] ~= '0' and ARGV[2] ~= epoch) or tonumber(ARGV[3]) >= tonumber(tail) then
  return { meta, {} }
end
-- An entry's id says where it ends, so a range of ids is a range of bytes.
local after = '(' .. epoch .. '-' .. ARGV[3]
local last = epoch .. '-' .. string.format('%.0f', tonumber(ARGV[3]) + tonumber(ARGV[4]))
local entries = redis.call('XRANGE', KEYS[2], after, last, 'COUNT', ARGV[5])
if #entries == 0 then
  entries = redis.call('XRANGE', KEYS[2], after, '+', 'COUNT', 1)
end
return { meta, entries }
