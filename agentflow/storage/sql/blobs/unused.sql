-- The next blobs, oldest first, and whether anything points to them.
SELECT created_at, hash,
  EXISTS (SELECT 1 FROM journal WHERE value = '@' || looked.hash AND value >= '@' AND value < 'A')
  OR EXISTS (SELECT 1 FROM runs WHERE output = '@' || looked.hash AND output >= '@' AND output < 'A')
  OR EXISTS (SELECT 1 FROM runs WHERE input = '@' || looked.hash AND input >= '@' AND input < 'A')
  OR EXISTS (SELECT 1 FROM waitpoints WHERE answer = '@' || looked.hash AND answer >= '@' AND answer < 'A')
  OR EXISTS (SELECT 1 FROM messages WHERE body = '@' || looked.hash AND body >= '@' AND body < 'A')
  OR EXISTS (SELECT 1 FROM generations WHERE variables = '@' || looked.hash AND variables >= '@' AND variables < 'A') AS used
FROM (
  SELECT created_at, hash FROM blobs
  WHERE (created_at, hash) > (:created_at, :hash) AND created_at < :before ORDER BY created_at, hash LIMIT :look
) AS looked;
