-- The run at the top of a family, as far up as it is kept.
WITH RECURSIVE above (key, parent, depth) AS (
  SELECT key, parent, 0 FROM runs WHERE key = :run
  UNION ALL
  SELECT runs.key, runs.parent, above.depth + 1 FROM above JOIN runs ON runs.key = above.parent
)
SELECT key FROM above ORDER BY depth DESC LIMIT 1;
