-- Runs that nobody had the code for, and those that say why they wait.
SELECT key FROM (SELECT key FROM runs WHERE state = 'queued' AND unserved = 1 ORDER BY queue LIMIT :look) AS unserved
UNION ALL
SELECT key FROM (SELECT key, note FROM runs WHERE state = 'scheduled' ORDER BY ready_at LIMIT :look) AS next WHERE note IS NOT NULL;
