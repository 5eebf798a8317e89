INSERT INTO runs (
  id, task, queue, state, epoch, worker, position, input, output, parent, parent_id, tags, metadata, created_at, started_at, leased_at, finished_at
)
SELECT 'run_' || n, CASE WHEN n % 50000 = 60 THEN 'rare' ELSE 'common' END, 'default', state, 1, CASE WHEN state = 'running' THEN 'w' END,
  CAST(:now AS BIGINT) + n, '{"order_id":"o-' || n || '","express":false}', '{"ok":true}', CASE WHEN n BETWEEN 1001 AND 1300 THEN 1000 END,
  CASE WHEN n BETWEEN 1001 AND 1300 THEN 'run_1000' END, CASE WHEN n % 1000 = 7 THEN '["vip"]' ELSE '[]' END, '{}', CAST(:now AS BIGINT) + n,
  CAST(:now AS BIGINT) + n, CAST(:now AS BIGINT) + n, CASE WHEN n > 60 THEN CAST(:now AS BIGINT) + n END
FROM generate_series(1, CAST(:count AS BIGINT)) AS numbers (n)
CROSS JOIN LATERAL (
  SELECT CASE WHEN n > 60 THEN CASE WHEN n % 100 = 7 THEN 'failed' ELSE 'completed' END WHEN n % 3 = 0 THEN 'queued' WHEN n % 3 = 1 THEN 'waiting'
    ELSE 'running' END AS state
) AS states
ORDER BY n;
