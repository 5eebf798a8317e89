WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST(:rows AS BIGINT)),
states (n, state) AS (
  SELECT n, CASE WHEN n % 10 < 6 THEN 'completed' WHEN n % 10 < 8 THEN 'queued' WHEN n % 50 = 8 THEN 'running' WHEN n % 50 = 18 THEN 'scheduled'
    WHEN n % 10 = 8 THEN 'waiting' WHEN n % 100 = 9 THEN 'failed' ELSE 'completed' END FROM numbers
)
INSERT INTO runs (
  id, task, queue, state, epoch, worker, position, ready_at, expires_at, input, parent, tags, concurrency_key, dedupe_key, debounce_key,
  created_at, finished_at, hooks, hooks_at, cancel_by, watched
)
SELECT 'run_' || n, 't' || (n % 5), CASE n % 3 WHEN 0 THEN 'default' WHEN 1 THEN 'limited' ELSE 'other' END, state,
  CASE WHEN state = 'scheduled' OR state = 'queued' THEN 0 ELSE 1 END, CASE WHEN state = 'running' THEN 'w' || (n % 7) END,
  CAST(:now AS BIGINT) + n, CASE WHEN state = 'scheduled' THEN CAST(:now AS BIGINT) + n END, CASE WHEN n % 10 = 7 THEN CAST(:now AS BIGINT) + n END, '{}',
  CASE WHEN n % 4 = 0 THEN n / 4 END, '[]', 'k' || (n % 100), CASE WHEN n % 11 = 0 THEN 'd' || n END, CASE WHEN state = 'scheduled' THEN 'b' || n END,
  CAST(:now AS BIGINT), CASE WHEN state IN ('completed', 'failed') THEN CAST(:now AS BIGINT) + n END,
  CASE WHEN n % 1000 = 0 THEN 'due' ELSE 'none' END, CASE WHEN n % 1000 = 0 THEN CAST(:now AS BIGINT) END,
  CASE WHEN n % 500 = 8 THEN CAST(:now AS BIGINT) + n END, 0
FROM states WHERE n > 0;
