-- The next blobs, oldest first, and whether anything points to them.
SELECT created_at, hash,
  EXISTS (SELECT 1 FROM journal WHERE value = '@' || looked.hash AND OCTET_LENGTH(value) = 65)
  OR EXISTS (SELECT 1 FROM runs WHERE output = '@' || looked.hash AND OCTET_LENGTH(output) = 65)
  OR EXISTS (SELECT 1 FROM runs WHERE input = '@' || looked.hash AND OCTET_LENGTH(input) = 65)
  OR EXISTS (SELECT 1 FROM waitpoints WHERE answer = '@' || looked.hash AND OCTET_LENGTH(answer) = 65)
  OR EXISTS (SELECT 1 FROM messages WHERE body = '@' || looked.hash AND OCTET_LENGTH(body) = 65)
  OR EXISTS (SELECT 1 FROM generations WHERE variables = '@' || looked.hash AND OCTET_LENGTH(variables) = 65) AS used
FROM (
  SELECT created_at, hash FROM blobs
  WHERE (created_at, hash) > (CAST(:created_at AS BIGINT), CAST(:hash AS TEXT)) AND created_at < CAST(:before AS BIGINT)
  ORDER BY created_at, hash LIMIT :look
) AS looked;
