INSERT INTO inputs (run, name, seq, data, idempotency_key, digest, sent_at)
SELECT key, 'inbox', 1, CASE WHEN key % 10 = 0 THEN '1' END, 'k' || key, '', CAST(:now AS BIGINT) FROM runs WHERE key <= CAST(:rows AS BIGINT);
