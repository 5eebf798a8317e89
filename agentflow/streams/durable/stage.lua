-- Puts entries into a log that no stream has yet.
--
-- KEYS[1]     the log
-- ARGV        ms to keep it, per entry: id, payload

for at = 2, #ARGV, 2 do
  redis.call('XADD', KEYS[1], ARGV[at], 'b', ARGV[at + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
