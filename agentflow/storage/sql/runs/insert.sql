INSERT INTO runs (
  id, task, queue, state, epoch, worker, position, ready_at, expires_at, input, parent, parent_id, on_parent_cancel, tags, metadata,
  idempotency_key, concurrency_key, priority, version, hooks, leased_at, started_at, created_at
) VALUES (
  :id, :task, :queue, :state, :epoch, :worker, :position, :ready_at, :expires_at, :input, :parent, :parent_id, :on_parent_cancel, :tags, :metadata,
  :idempotency_key, :concurrency_key, :priority, :version, :hooks, :leased_at, :started_at, :created_at
)
RETURNING *;
