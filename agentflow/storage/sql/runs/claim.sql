-- A worker whose own lease has run out gets nothing.
UPDATE runs
SET state = 'running', epoch = epoch + 1, worker = :worker, leased_at = :now, started_at = COALESCE(started_at, :now), note = NULL
WHERE key IN (
  SELECT key FROM runs
  WHERE state = 'queued'
    AND queue IN (SELECT value FROM json_each(:queues))
    AND (epoch > 0 OR expires_at IS NULL OR expires_at > :now)
  ORDER BY position LIMIT :limit
)
AND EXISTS (SELECT 1 FROM workers WHERE id = :worker AND expires_at > :now)
RETURNING *;
