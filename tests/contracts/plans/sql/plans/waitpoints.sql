INSERT INTO waitpoints (id, run, run_id, step, kind, state, target, due_at, created_at, ended_at, wake)
SELECT 'wp_' || runs.key, runs.key, id, 's', CASE WHEN runs.key % 2 = 0 THEN 'timer' ELSE 'child' END, CASE WHEN state = 'waiting' THEN 'pending' ELSE 'answered' END,
  CASE WHEN runs.key % 2 = 1 THEN 'run_' || (runs.key + 1) END, CAST(:now AS BIGINT) + runs.key, CAST(:now AS BIGINT),
  CASE WHEN state = 'waiting' THEN NULL ELSE CAST(:now AS BIGINT) END, 1
FROM runs WHERE runs.key <= CAST(:rows AS BIGINT);
