SELECT lane, waiting FROM (
  SELECT lane, (
    SELECT COUNT(*) FROM runs WHERE state = 'queued' AND unserved = 0 AND queue = :queue AND COALESCE(concurrency_key, '') = busy.lane
  ) AS waiting
  FROM (
    SELECT COALESCE(concurrency_key, '') AS lane FROM runs WHERE state = 'running' AND queue = :queue
    GROUP BY COALESCE(concurrency_key, '') HAVING COUNT(*) >= :key_concurrency
  ) AS busy
) AS full_ones
WHERE waiting > 0
ORDER BY waiting DESC, lane LIMIT :limit;
