-- A blob that is just being put again is locked, and young once it is not.
DELETE FROM blobs
WHERE hash IN (
  SELECT hash FROM blobs AS old
  WHERE hash IN (SELECT json_array_elements_text(CAST(:hashes AS json))) AND created_at < CAST(:before AS BIGINT)
    AND NOT EXISTS (SELECT 1 FROM journal WHERE value = '@' || old.hash AND OCTET_LENGTH(value) = 65)
    AND NOT EXISTS (SELECT 1 FROM runs WHERE output = '@' || old.hash AND OCTET_LENGTH(output) = 65)
    AND NOT EXISTS (SELECT 1 FROM runs WHERE input = '@' || old.hash AND OCTET_LENGTH(input) = 65)
    AND NOT EXISTS (SELECT 1 FROM waitpoints WHERE answer = '@' || old.hash AND OCTET_LENGTH(answer) = 65)
    AND NOT EXISTS (SELECT 1 FROM messages WHERE body = '@' || old.hash AND OCTET_LENGTH(body) = 65)
    AND NOT EXISTS (SELECT 1 FROM generations WHERE variables = '@' || old.hash AND OCTET_LENGTH(variables) = 65)
  FOR UPDATE SKIP LOCKED
);
