-- PostgreSQL skips rows that somebody holds; they are moved one by one.
UPDATE runs
SET version = :to, unserved = 0, note = CASE WHEN unserved = 1 THEN NULL ELSE note END
WHERE key IN (
  SELECT key FROM runs
  WHERE task = :task AND version = :version AND finished_at IS NULL AND created_at <= :until LIMIT :limit
)
RETURNING queue, state;
