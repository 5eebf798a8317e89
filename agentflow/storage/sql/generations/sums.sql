-- What the calls of each version did since a moment, or those of each variant of each rollout. Squares are for the spread of costs.
SELECT number,
  CASE WHEN CAST(:by AS TEXT) = 'variant' THEN variant END AS variant, CASE WHEN CAST(:by AS TEXT) = 'variant' THEN rollout END AS rollout,
  COUNT(*) AS calls,
  CAST(SUM(CASE WHEN ended = 'failed' THEN 1 ELSE 0 END) AS BIGINT) AS errors,
  CAST(SUM(CASE WHEN ended = 'cancelled' THEN 1 ELSE 0 END) AS BIGINT) AS cancelled,
  CAST(COALESCE(SUM(input), 0) AS BIGINT) AS input, CAST(COALESCE(SUM(output), 0) AS BIGINT) AS output,
  CAST(COALESCE(SUM(cached), 0) AS BIGINT) AS cached, CAST(COALESCE(SUM(reasoning), 0) AS BIGINT) AS reasoning,
  COUNT(cost) AS priced, CAST(COALESCE(SUM(cost), 0) AS BIGINT) AS cost,
  COALESCE(SUM(CAST(cost AS DOUBLE PRECISION) * CAST(cost AS DOUBLE PRECISION)), 0) AS squares
FROM generations
WHERE prompt = :prompt AND at > :since
  AND (CAST(:env AS TEXT) IS NULL OR env = :env) AND (CAST(:rollout AS TEXT) IS NULL OR rollout = :rollout)
GROUP BY 1, 2, 3;
