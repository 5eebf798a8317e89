-- What the calls of a version in a rollout came to: those that were not cancelled. Squares are of large numbers, so they are no integers.
SELECT COUNT(*) AS calls, COALESCE(SUM(CASE WHEN ended = 'failed' THEN 1 ELSE 0 END), 0) AS errors,
  COUNT(cost) AS priced, COALESCE(SUM(CAST(cost AS DOUBLE PRECISION)), 0) AS cost,
  COALESCE(SUM(CAST(cost AS DOUBLE PRECISION) * CAST(cost AS DOUBLE PRECISION)), 0) AS cost_squares,
  COUNT(answered) AS timed, COALESCE(SUM(answered), 0) AS latency, COALESCE(SUM(answered * answered), 0) AS latency_squares,
  COUNT(first) AS streamed, COALESCE(SUM(first), 0) AS first_token, COALESCE(SUM(first * first), 0) AS first_token_squares
FROM (
  SELECT ended, cost, CASE WHEN ended = 'answered' THEN CAST(duration AS DOUBLE PRECISION) END AS answered,
    CASE WHEN ended = 'answered' THEN CAST(first_token AS DOUBLE PRECISION) END AS first
  FROM generations WHERE rollout = :rollout AND number = :number AND at >= :since AND ended <> 'cancelled'
) AS call;
