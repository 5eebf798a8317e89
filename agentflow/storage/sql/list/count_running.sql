SELECT queue, COUNT(*) AS runs
FROM (SELECT queue FROM runs WHERE state = 'running' ORDER BY queue, COALESCE(concurrency_key, '') LIMIT :most) AS seen
GROUP BY queue;
