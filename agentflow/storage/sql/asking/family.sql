-- The family of a run: the thread of the run at the top, or that run.
WITH RECURSIVE above (id, thread, parent, depth) AS (
  SELECT id, thread, parent, 0 FROM runs WHERE key = :run
  UNION ALL
  SELECT runs.id, runs.thread, runs.parent, above.depth + 1 FROM above JOIN runs ON runs.key = above.parent
)
SELECT COALESCE('thread ' || thread, id) AS family FROM above ORDER BY depth DESC LIMIT 1;
