-- The run at the top of a family, as far up as it is kept.
WITH RECURSIVE above (id, parent, depth) AS (
  SELECT id, parent, 0 FROM runs WHERE key = :run
  UNION ALL
  SELECT runs.id, runs.parent, above.depth + 1 FROM above JOIN runs ON runs.key = above.parent
)
SELECT id FROM above ORDER BY depth DESC LIMIT 1;
