UPDATE runs
SET state = 'waiting', worker = NULL, active = :active, recoveries = 0, code = :code
WHERE key = :run AND epoch = :epoch AND state = 'running' AND wakes = :wakes AND cancel_reason IS NULL
RETURNING key;
