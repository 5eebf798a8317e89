UPDATE runs
SET state = 'paused', worker = NULL, active = :active, error = :error, note = :note
WHERE key = :run AND epoch = :epoch AND state = 'running'
RETURNING *;
