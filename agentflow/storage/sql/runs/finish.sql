UPDATE runs
SET state = :state, worker = NULL, output = :output, error = :error, active = :active, finished_at = :now, note = NULL, cancel_by = NULL,
    cancel_children = :cancel_children, expires_at = NULL, ready_at = NULL, code = COALESCE(:code, code),
    hooks = CASE WHEN hooks = 'wanted' THEN 'due' ELSE hooks END,
    hooks_at = CASE WHEN hooks = 'wanted' THEN :now ELSE hooks_at END
WHERE key = :run AND epoch = :epoch AND state = :was
RETURNING *;
