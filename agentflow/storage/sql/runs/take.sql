-- Leases picked runs to a worker.
UPDATE runs
SET state = 'running', epoch = epoch + 1, worker = :worker, leased_at = :now, started_at = COALESCE(started_at, :now), note = NULL
WHERE key IN (SELECT value FROM json_each(:keys)) AND state = 'queued'
RETURNING *;
