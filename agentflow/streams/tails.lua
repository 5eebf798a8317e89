-- Returns the last id of each of KEYS and the type of its event, or '' where there is no stream.
local tails = {}
for i = 1, #KEYS do
  local last = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)
  tails[i] = last[1] and last[1][1] .. ' ' .. last[1][2][2] or ''
end
return tails
