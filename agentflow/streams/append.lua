-- Appends what a process has to say, of all its runs, and wakes the readers.
--
-- KEYS[1]     the mark of the writer: `<number>|<reply>` of its last batch
-- KEYS[2..]   the streams
-- ARGV        number, ms to keep a live stream, ms to keep an ended one, ms to keep the mark,
--             's' in a cluster: readers are woken at the node of their run only,
--             signal channel, count, that many messages,
--             per stream: channel, lost ('1': readers must start over), count, per event: `<epoch>-*`, t, p, d, ts
--             (`+` for an id: said by another run, in whatever epoch the stream is, unless it has not begun or has its `end`)
-- Returns     one letter per refusal, with the number of the stream and of the event: `s2:1,e3:1` (s stale, e another error).

local number, live, ended, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local NUMSUB, PUBLISH = 'NUMSUB', 'PUBLISH'
if ARGV[5] == 's' then
  NUMSUB, PUBLISH = 'SHARDNUMSUB', 'SPUBLISH'
end

-- The reply to this batch may have been lost on its way: then it must not be appended again, nor when it comes after a later one.
local mark = redis.call('GET', KEYS[1])
if mark then
  local last, reply = string.match(mark, '^(%d+)|(.*)$')
  if tonumber(last) >= tonumber(number) then
    return last == number and reply or ''
  end
end
-- First of all writes, and not guarded: a server that may not write refuses the whole batch here.
redis.call('SET', KEYS[1], number .. '|', 'PX', kept)

local FRAME_LIMIT = 65536
local OPENERS = { ['run.queued'] = true, ['run.started'] = true, ['run.attempt'] = true, ['run.cancelled'] = true, ['run.expired'] = true }

-- An epoch's first event in a stream that holds nothing else, though the run has spoken before: Redis lost the beginning.
local function is_orphan(key, id, kind)
  return not OPENERS[kind] and string.sub(id, -2) == '-0' and redis.call('XLEN', key) == 1
end

-- Numbers the event, and so all that follow, above every id a reader may hold, and forgets what was before.
local function renumber(key, at, id)
  local time = redis.call('TIME')
  local base = time[1] .. string.format('%06d', time[2])
  local epoch = string.match(id, '^(%d+)-')
  local new = redis.pcall('XADD', key, epoch .. '-' .. base, 't', ARGV[at + 1], 'p', ARGV[at + 2], 'd', ARGV[at + 3], 'ts', ARGV[at + 4])
  if type(new) ~= 'string' then
    return id
  end
  redis.call('XTRIM', key, 'MAXLEN', 1)
  return new
end

-- The id of an event that another run says here; none where there is nothing that it could follow. An epoch of a renumbered log goes on
-- by itself, as every epoch does.
local function joining(key)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not last or last[2][2] == 'end' then
    return nil
  end
  return string.match(last[1], '^(%d+)-') .. '-*'
end

local refused = {}

local function append(stream, at, lost, count)
  local key, frame, size, over = KEYS[stream], {}, 0, false
  for event = 1, count do
    local place, id = ARGV[at], nil
    if place == '+' then
      place = joining(key)
    end
    if place then
      id = redis.pcall('XADD', key, place, 't', ARGV[at + 1], 'p', ARGV[at + 2], 'd', ARGV[at + 3], 'ts', ARGV[at + 4])
    end
    if type(id) == 'string' then
      if #frame == 0 and (lost or is_orphan(key, id, ARGV[at + 1])) then
        id = renumber(key, at, id)
      end
      over = over or ARGV[at + 1] == 'end'
      size = size + #ARGV[at + 3] + 64
      frame[#frame + 1] = { id, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] }
    elseif id then
      local stale = string.find(id.err, 'equal or smaller', 1, true)
      refused[#refused + 1] = (stale and 's' or 'e') .. (stream - 1) .. ':' .. event
    end
    at = at + 5
  end
  return frame, size, over
end

local function wake(channel, frame, size)
  if redis.call('PUBSUB', NUMSUB, channel)[2] > 0 then
    redis.call(PUBLISH, channel, size > FRAME_LIMIT and '[]' or cjson.encode(frame))
  end
end

local at = 8
for _ = 1, tonumber(ARGV[7]) do
  redis.call('PUBLISH', ARGV[6], ARGV[at])
  at = at + 1
end
for stream = 2, #KEYS do
  local channel, count = ARGV[at], tonumber(ARGV[at + 2])
  local frame, size, over = append(stream, at + 3, ARGV[at + 1] == '1', count)
  if #frame > 0 then
    redis.call('PEXPIRE', KEYS[stream], over and ended or live)
    wake(channel, frame, size)
  end
  at = at + 3 + 5 * count
end

local reply = table.concat(refused, ',')
if reply ~= '' then
  redis.call('SET', KEYS[1], number .. '|' .. reply, 'PX', kept)
end
return reply
