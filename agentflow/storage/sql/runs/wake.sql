UPDATE runs
SET wakes = wakes + 1, state = CASE WHEN state = 'waiting' THEN 'queued' ELSE state END
WHERE key = :run
RETURNING *;
