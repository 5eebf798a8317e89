-- By task and version: waiting runs, of the first `look` of them.
SELECT task, version, queue, COUNT(*) AS runs FROM (
  SELECT task, version, queue FROM runs
  WHERE state = 'waiting' AND state <> 'completed' AND state <> 'running' AND state <> 'queued' ORDER BY state, key LIMIT :look
) AS seen
GROUP BY task, version, queue ORDER BY task, version, queue;
