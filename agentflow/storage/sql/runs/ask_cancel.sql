UPDATE runs
SET cancel_reason = :reason, cancel_by = :by, cancel_children = 1,
    state = CASE WHEN state = 'waiting' THEN 'queued' ELSE state END
WHERE key = :run AND cancel_reason IS NULL
RETURNING *;
