DELETE FROM blobs
WHERE hash IN (SELECT value FROM json_each(:hashes)) AND created_at < :before
  AND NOT EXISTS (SELECT 1 FROM journal WHERE value = '@' || blobs.hash AND value >= '@' AND value < 'A')
  AND NOT EXISTS (SELECT 1 FROM runs WHERE output = '@' || blobs.hash AND output >= '@' AND output < 'A')
  AND NOT EXISTS (SELECT 1 FROM runs WHERE input = '@' || blobs.hash AND input >= '@' AND input < 'A')
  AND NOT EXISTS (SELECT 1 FROM waitpoints WHERE answer = '@' || blobs.hash AND answer >= '@' AND answer < 'A')
  AND NOT EXISTS (SELECT 1 FROM messages WHERE body = '@' || blobs.hash AND body >= '@' AND body < 'A')
  AND NOT EXISTS (SELECT 1 FROM generations WHERE variables = '@' || blobs.hash AND variables >= '@' AND variables < 'A');
