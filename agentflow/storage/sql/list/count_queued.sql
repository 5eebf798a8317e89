SELECT counted.runs, runs.created_at AS oldest
FROM (
  SELECT COUNT(*) AS runs, MIN(key) AS first FROM (
    SELECT key FROM runs WHERE state = 'queued' AND unserved = 0 AND queue = :queue ORDER BY COALESCE(concurrency_key, ''), position, key LIMIT :most
  ) AS seen
) AS counted LEFT JOIN runs ON runs.key = counted.first;
