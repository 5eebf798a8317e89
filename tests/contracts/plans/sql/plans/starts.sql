INSERT INTO starts (queue, scope, slice, used)
SELECT 'limited', 'key:k' || (key % 100), CAST(:now AS BIGINT) + key, 1 FROM runs WHERE key <= CAST(:rows AS BIGINT);
