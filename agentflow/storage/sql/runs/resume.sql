UPDATE runs
SET state = 'queued', error = NULL, note = NULL, code = COALESCE(:code, code), recoveries = 0
WHERE key = :run AND state = 'paused'
RETURNING *;
