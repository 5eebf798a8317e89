-- Each call is counted once: of the rows that it has, by that of its own run.
SELECT
  CAST(COALESCE(SUM(calls), 0) AS BIGINT) AS calls, COUNT(*) - COUNT(output) AS unmetered, COUNT(*) - COUNT(cost) AS unpriced,
  CAST(COALESCE(SUM(input), 0) AS BIGINT) AS input, CAST(COALESCE(SUM(output), 0) AS BIGINT) AS output,
  CAST(COALESCE(SUM(cached), 0) AS BIGINT) AS cached, CAST(COALESCE(SUM(reasoning), 0) AS BIGINT) AS reasoning,
  CAST(COALESCE(SUM(cost), 0) AS BIGINT) AS cost
FROM usage WHERE prompt = :prompt AND at > :since AND scope = 'run:' || CAST(run AS TEXT);
