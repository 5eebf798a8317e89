SELECT queue, COUNT(*) AS runs, MIN(created_at) AS oldest
FROM (SELECT queue, created_at FROM runs WHERE state = 'queued' AND unserved = 1 ORDER BY queue LIMIT :most) AS seen
GROUP BY queue;
