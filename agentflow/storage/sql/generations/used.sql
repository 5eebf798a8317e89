SELECT
  COUNT(*) AS calls, COUNT(*) - COUNT(output) AS unmetered, COUNT(*) - COUNT(cost) AS unpriced,
  CAST(COALESCE(SUM(input), 0) AS BIGINT) AS input, CAST(COALESCE(SUM(output), 0) AS BIGINT) AS output,
  CAST(COALESCE(SUM(cached), 0) AS BIGINT) AS cached, CAST(COALESCE(SUM(reasoning), 0) AS BIGINT) AS reasoning,
  CAST(COALESCE(SUM(cost), 0) AS BIGINT) AS cost
FROM generations WHERE prompt = :prompt AND number = :number AND at > :since;
