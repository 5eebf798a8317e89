WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST(:rows AS BIGINT))
INSERT INTO runs (id, task, queue, state, epoch, position, input, concurrency_key, created_at)
SELECT 'run_' || n, 't1', CASE WHEN n % 2 = 0 THEN 'default' ELSE 'limited' END, 'queued', 0, CAST(:now AS BIGINT) + n, '{}', 'k' || (n % 10000), CAST(:now AS BIGINT)
FROM numbers;
