-- The runs above a run, as far as they are kept, and the budgets that each of them brings: a row for each budget, one without for a run that
-- brings none.
WITH RECURSIVE above (key, parent, thread, concurrency_key, tags) AS (
  SELECT key, parent, thread, concurrency_key, tags FROM runs WHERE key = :run
  UNION ALL
  SELECT runs.key, runs.parent, runs.thread, runs.concurrency_key, runs.tags FROM above JOIN runs ON runs.key = above.parent
)
SELECT above.key, above.thread, above.concurrency_key, above.tags, budgets.terms
FROM above LEFT JOIN budgets ON budgets.run = above.key WHERE above.key <> :run;
