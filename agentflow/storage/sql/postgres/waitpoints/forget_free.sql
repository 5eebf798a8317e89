-- Tokens of no run that ended long ago.
DELETE FROM waitpoints
WHERE id IN (
  SELECT id FROM waitpoints WHERE run IS NULL AND ended_at IS NOT NULL AND ended_at <= :before ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
RETURNING id;
