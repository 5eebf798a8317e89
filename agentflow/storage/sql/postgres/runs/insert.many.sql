-- As insert, for many runs at once.
WITH given AS (
  SELECT * FROM UNNEST(
    CAST(:id AS TEXT[]), CAST(:task AS TEXT[]), CAST(:queue AS TEXT[]), CAST(:state AS TEXT[]), CAST(:epoch AS BIGINT[]),
    CAST(:worker AS TEXT[]), CAST(:position AS BIGINT[]), CAST(:ready_at AS BIGINT[]), CAST(:expires_at AS BIGINT[]),
    CAST(:input AS TEXT[]), CAST(:parent AS BIGINT[]), CAST(:parent_id AS TEXT[]), CAST(:on_parent_cancel AS TEXT[]),
    CAST(:tags AS TEXT[]), CAST(:metadata AS TEXT[]), CAST(:idempotency_key AS TEXT[]), CAST(:concurrency_key AS TEXT[]),
    CAST(:priority AS BIGINT[]), CAST(:version AS TEXT[]), CAST(:hooks AS TEXT[]), CAST(:created_at AS BIGINT[]),
    CAST(:watched AS BIGINT[]), CAST(:weight AS BIGINT[]), CAST(:dedupe_key AS TEXT[]), CAST(:started_by AS TEXT[])
  ) WITH ORDINALITY AS one (
    id, task, queue, state, epoch, worker, position, ready_at, expires_at, input, parent, parent_id, on_parent_cancel, tags, metadata,
    idempotency_key, concurrency_key, priority, version, hooks, created_at, watched, weight, dedupe_key, started_by, at
  )
),
written AS (
  INSERT INTO runs (
    id, task, queue, state, epoch, worker, position, ready_at, expires_at, input, parent, parent_id, on_parent_cancel, tags, metadata,
    idempotency_key, concurrency_key, priority, version, hooks, leased_at, started_at, created_at, watched, weight, dedupe_key,
    started_by
  )
  SELECT
    given.id, given.task, given.queue, CASE WHEN lessee.id IS NULL THEN given.state ELSE 'running' END,
    CASE WHEN lessee.id IS NULL THEN given.epoch ELSE given.epoch + 1 END, lessee.id, given.position, given.ready_at, given.expires_at,
    given.input, given.parent, given.parent_id, given.on_parent_cancel, given.tags, given.metadata, given.idempotency_key,
    given.concurrency_key, given.priority, given.version, given.hooks, CASE WHEN lessee.id IS NULL THEN NULL ELSE given.created_at END,
    CASE WHEN lessee.id IS NULL THEN NULL ELSE given.created_at END, given.created_at, given.watched, given.weight, given.dedupe_key,
    given.started_by
  FROM given LEFT JOIN workers AS lessee
    ON lessee.id = given.worker AND lessee.expires_at > given.created_at AND NOT EXISTS (SELECT 1 FROM queues WHERE name = given.queue)
  ORDER BY given.at
  ON CONFLICT DO NOTHING
  RETURNING id, key, state, epoch, worker
)
SELECT given.at, written.key, written.state, written.epoch, written.worker FROM written JOIN given ON given.id = written.id;
