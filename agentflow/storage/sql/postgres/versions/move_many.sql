-- Rows that somebody holds are skipped, and moved one by one.
UPDATE runs
SET version = CAST(:to AS TEXT), unserved = 0, note = CASE WHEN unserved = 1 THEN NULL ELSE note END
WHERE key IN (
  SELECT key FROM runs
  WHERE task = :task AND version = :version AND finished_at IS NULL AND created_at <= :until LIMIT :limit FOR UPDATE SKIP LOCKED
)
RETURNING queue, state;
