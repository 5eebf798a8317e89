-- The lease ended with its worker: the run goes back to its queue, whoever it was that worked on it.
UPDATE runs
SET state = 'queued', worker = NULL, recoveries = :recoveries, active = active + :spent, note = :note
WHERE key = :run AND state = 'running' AND worker = :worker
RETURNING *;
