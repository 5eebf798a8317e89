INSERT INTO queues (name, paused_at, paused_by) VALUES (:name, :now, :by)
ON CONFLICT (name) DO UPDATE
SET paused_at = COALESCE(queues.paused_at, excluded.paused_at), paused_by = COALESCE(queues.paused_by, excluded.paused_by)
RETURNING *;
