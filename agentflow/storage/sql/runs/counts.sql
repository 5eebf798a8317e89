SELECT queue, state, COUNT(*) AS runs, MIN(created_at) AS oldest FROM runs
WHERE state IN ('queued', 'running', 'scheduled', 'waiting', 'paused')
GROUP BY queue, state ORDER BY queue, state;
