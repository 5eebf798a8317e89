UPDATE runs
SET state = 'running', epoch = epoch + 1, worker = :worker, leased_at = :now, started_at = COALESCE(started_at, :now), note = NULL
WHERE key = :run AND state = 'waiting'
  AND EXISTS (SELECT 1 FROM workers WHERE id = :worker AND expires_at > :now)
RETURNING *;
