-- Runs leased to a worker that is on no list: it was taken off while the lease was under way.
SELECT id, worker FROM runs
WHERE worker IS NOT NULL AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = runs.worker)
ORDER BY key LIMIT :limit;
