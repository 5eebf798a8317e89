-- Leased at once when the worker named has not been declared dead: a run leased to one that was would be nobody's for ever.
-- Not past others: a limited or paused queue has a row.
INSERT INTO runs (
  id, task, queue, state, epoch, worker, position, ready_at, expires_at, input, parent, parent_id, on_parent_cancel, tags, metadata,
  idempotency_key, concurrency_key, priority, version, hooks, leased_at, started_at, created_at, watched, weight, dedupe_key, started_by
)
SELECT
  :id, :task, :queue, CASE WHEN lessee.id IS NULL THEN :state ELSE 'running' END, CASE WHEN lessee.id IS NULL THEN :epoch ELSE :epoch + 1 END,
  lessee.id, :position, :ready_at, :expires_at, :input, :parent, :parent_id, :on_parent_cancel, :tags, :metadata,
  :idempotency_key, :concurrency_key, :priority, :version, :hooks, CASE WHEN lessee.id IS NULL THEN NULL ELSE :created_at END,
  CASE WHEN lessee.id IS NULL THEN NULL ELSE :created_at END, :created_at, :watched, :weight, :dedupe_key, :started_by
FROM (SELECT 1) AS one LEFT JOIN workers AS lessee
  ON lessee.id = :worker AND lessee.expires_at > :created_at AND NOT EXISTS (SELECT 1 FROM queues WHERE name = :queue)
WHERE TRUE
ON CONFLICT DO NOTHING
RETURNING key, state, epoch, worker;
