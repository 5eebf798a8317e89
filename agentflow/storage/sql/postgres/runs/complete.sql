-- The whole end of a run that nobody waits for. `watched` is checked on the row as it is once its lock is had; what the run itself waits
-- for cannot be looked at in time here, so this is asked only for a run that never waited.
UPDATE runs
SET state = 'completed', worker = NULL, output = :output, error = NULL, active = :active, finished_at = :now, note = NULL, expires_at = NULL,
    code = :code,
    hooks = CASE WHEN hooks = 'wanted' THEN 'due' ELSE hooks END,
    hooks_at = CASE WHEN hooks = 'wanted' THEN :now ELSE hooks_at END
WHERE key = :run AND epoch = :epoch AND state = 'running' AND cancel_reason IS NULL AND watched = 0
RETURNING key;
