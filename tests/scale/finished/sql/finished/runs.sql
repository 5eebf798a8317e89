WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count),
states (n, state) AS (
  SELECT n, CASE WHEN n > 60 THEN CASE WHEN n % 100 = 7 THEN 'failed' ELSE 'completed' END WHEN n % 3 = 0 THEN 'queued' WHEN n % 3 = 1 THEN 'waiting'
    ELSE 'running' END
  FROM numbers
)
INSERT INTO runs (
  id, task, queue, state, epoch, worker, position, input, output, parent, parent_id, tags, metadata, created_at, started_at, leased_at, finished_at
)
SELECT 'run_' || n, CASE WHEN n % 50000 = 60 THEN 'rare' ELSE 'common' END, 'default', state, 1, CASE WHEN state = 'running' THEN 'w' END,
  :now + n, '{"order_id":"o-' || n || '","express":false}', '{"ok":true}', CASE WHEN n BETWEEN 1001 AND 1300 THEN 1000 END,
  CASE WHEN n BETWEEN 1001 AND 1300 THEN 'run_1000' END, CASE WHEN n % 1000 = 7 THEN '["vip"]' ELSE '[]' END, '{}', :now + n, :now + n, :now + n,
  CASE WHEN n > 60 THEN :now + n END
FROM states;
