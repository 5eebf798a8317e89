SELECT queue, COUNT(*) AS runs
FROM (
  SELECT queue FROM runs WHERE state = :state AND state <> 'completed' AND state <> 'running' AND state <> 'queued' ORDER BY state, key LIMIT :most
) AS seen
GROUP BY queue;
