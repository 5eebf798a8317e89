-- Hands a run back: to its queue at once, or at a later time.
UPDATE runs
SET state = :state, worker = NULL, ready_at = :ready_at, attempt = :attempt, active = :active, error = COALESCE(:error, error), note = :note
WHERE key = :run AND epoch = :epoch AND state = 'running'
RETURNING *;
