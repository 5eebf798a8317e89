UPDATE runs
SET ready_at = :ready_at, position = :position, input = COALESCE(:input, input),
    expires_at = CASE WHEN expires_at IS NULL THEN NULL ELSE expires_at - ready_at + :ready_at END
WHERE key = :run AND state = 'scheduled' AND epoch = 0
RETURNING *;
