WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST(:rows AS BIGINT) / 100)
INSERT INTO workers (id, host, pid, slots, queues, tasks, state, started_at, expires_at, claimed_at)
SELECT 'w' || n, 'here', n, 10, '["default"]', '["t1"]', 'live', CAST(:now AS BIGINT), CAST(:now AS BIGINT) + 30000000, CAST(:now AS BIGINT) FROM numbers;
