-- Leased at once when the worker named has not been declared dead: a run leased to one that was would be nobody's for ever.
-- Not past others: a limited or paused queue has a row.
INSERT INTO runs (
  id, task, queue, state, epoch, worker, position, ready_at, expires_at, input, parent, parent_id, on_parent_cancel, tags, metadata,
  idempotency_key, concurrency_key, priority, version, hooks, leased_at, started_at, created_at, watched, weight, dedupe_key, started_by
)
SELECT
  :id, :task, CAST(:queue AS TEXT), CASE WHEN lessee.id IS NULL THEN CAST(:state AS TEXT) ELSE 'running' END, CASE WHEN lessee.id IS NULL THEN CAST(:epoch AS BIGINT) ELSE CAST(:epoch AS BIGINT) + 1 END,
  lessee.id, :position, :ready_at, :expires_at, :input, :parent, :parent_id, :on_parent_cancel, :tags, :metadata,
  :idempotency_key, :concurrency_key, :priority, :version, :hooks, CASE WHEN lessee.id IS NULL THEN NULL ELSE CAST(:created_at AS BIGINT) END,
  CASE WHEN lessee.id IS NULL THEN NULL ELSE CAST(:created_at AS BIGINT) END, CAST(:created_at AS BIGINT), :watched, :weight, :dedupe_key, :started_by
FROM (SELECT 1) AS one LEFT JOIN workers AS lessee
  ON lessee.id = :worker AND lessee.expires_at > CAST(:created_at AS BIGINT) AND NOT EXISTS (SELECT 1 FROM queues WHERE name = CAST(:queue AS TEXT))
WHERE TRUE
ON CONFLICT DO NOTHING
RETURNING key, state, epoch, worker;
