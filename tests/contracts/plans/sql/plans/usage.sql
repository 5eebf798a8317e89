INSERT INTO usage (scope, run, seq, at, calls, input, output, expires_at)
SELECT CASE WHEN key % 3 = 0 THEN 'key:k' || (key % 100) ELSE 'run:' || key END, key, 1, CAST(:now AS BIGINT) + key, 1, 10, 10,
  CASE WHEN key % 3 = 0 THEN CAST(:now AS BIGINT) + 1000 + key END
FROM runs WHERE key <= CAST(:rows AS BIGINT);
