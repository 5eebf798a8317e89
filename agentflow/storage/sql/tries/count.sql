-- The row that counts the wrong secrets is one that is locked meanwhile: of any number of tries at once each counts.
INSERT INTO tries (name, wrong, since, locked_until) VALUES (:name, 1, :now, 0)
ON CONFLICT (name) DO UPDATE SET
  wrong = CASE WHEN tries.since <= :before THEN 1 ELSE tries.wrong + 1 END,
  since = CASE WHEN tries.since <= :before THEN :now ELSE tries.since END,
  locked_until = CASE WHEN tries.since > :before AND tries.wrong + 1 >= :most THEN :until ELSE tries.locked_until END
RETURNING wrong, locked_until;
