-- To the worker that keeps the run in memory; not if it was moved to another version meanwhile.
UPDATE runs
SET state = 'running', epoch = epoch + 1, worker = :worker, leased_at = :now, started_at = COALESCE(started_at, :now), note = NULL
WHERE key = :run AND state = 'waiting' AND COALESCE(version, '') = COALESCE(CAST(:version AS TEXT), '')
  AND EXISTS (SELECT 1 FROM workers WHERE id = :worker AND expires_at > :now)
  AND NOT EXISTS (SELECT 1 FROM queues WHERE name = runs.queue)
RETURNING *;
