-- In the order of the index, so that it is the index that is read.
SELECT key FROM (
  SELECT key FROM (SELECT key FROM runs WHERE state = 'queued' AND unserved = 0 ORDER BY queue, COALESCE(concurrency_key, ''), position, key LIMIT :most) AS served
  UNION ALL
  SELECT key FROM (SELECT key FROM runs WHERE state = 'queued' AND unserved = 1 ORDER BY queue LIMIT :most) AS unserved
) AS either LIMIT :most;
