-- The runs above a run, as far as they are kept, and the budgets that each of them brings, from the run outwards: a row for each budget, one
-- without for a run that brings none.
WITH RECURSIVE above (key, parent, thread, concurrency_key, tags, height) AS (
  SELECT key, parent, thread, concurrency_key, tags, 0 FROM runs WHERE key = :run
  UNION ALL
  SELECT runs.key, runs.parent, runs.thread, runs.concurrency_key, runs.tags, above.height + 1 FROM above JOIN runs ON runs.key = above.parent
)
SELECT above.key, above.thread, above.concurrency_key, above.tags, budgets.terms
FROM above LEFT JOIN budgets ON budgets.run = above.key WHERE above.key <> :run ORDER BY above.height;
