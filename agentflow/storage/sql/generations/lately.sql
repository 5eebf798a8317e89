-- What the calls of each prompt in an environment did since a moment.
SELECT prompt, COUNT(*) AS calls, CAST(SUM(CASE WHEN ended = 'failed' THEN 1 ELSE 0 END) AS BIGINT) AS errors,
  COUNT(cost) AS priced, CAST(COALESCE(SUM(cost), 0) AS BIGINT) AS cost
FROM generations WHERE at > :since AND env = :env GROUP BY prompt;
