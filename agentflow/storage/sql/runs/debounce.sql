-- A start that waits for quiet: while one of its key is scheduled, this one counts for it, and puts it off, but not past `debounce_until`.
INSERT INTO runs (
  id, task, queue, state, epoch, position, ready_at, expires_at, input, parent, parent_id, on_parent_cancel, tags, metadata,
  concurrency_key, priority, version, hooks, created_at, watched, weight, debounce_key, debounce_until, started_by
)
VALUES (
  :id, :task, :queue, 'scheduled', 0, :position, :ready_at, :expires_at, :input, :parent, :parent_id, :on_parent_cancel, :tags, :metadata,
  :concurrency_key, :priority, :version, :hooks, :created_at, :watched, :weight, :debounce_key, :debounce_until, :started_by
)
ON CONFLICT (task, debounce_key) WHERE debounce_key IS NOT NULL AND state = 'scheduled' AND epoch = 0 DO UPDATE
SET input = CASE WHEN :trailing = 1 THEN excluded.input ELSE runs.input END,
    started_by = CASE WHEN :trailing = 1 THEN excluded.started_by ELSE runs.started_by END,
    ready_at = MIN(excluded.ready_at, runs.debounce_until),
    position = MIN(excluded.ready_at, runs.debounce_until) - runs.priority * 1000000,
    expires_at = excluded.expires_at - excluded.ready_at + MIN(excluded.ready_at, runs.debounce_until),
    watched = MAX(runs.watched, excluded.watched)
RETURNING *;
