-- Leases picked runs to a worker.
UPDATE runs
SET state = 'running', epoch = epoch + 1, worker = :worker, leased_at = :now, started_at = COALESCE(started_at, :now), note = NULL
WHERE key = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:keys AS json)) AS BIGINT))) AND state = 'queued'
RETURNING *;
