-- The queues that hold runs, from one to the next.
WITH RECURSIVE names (queue) AS (
  SELECT MIN(queue) FROM runs WHERE state = 'queued' AND unserved = 0
  UNION ALL
  SELECT (SELECT MIN(queue) FROM runs WHERE state = 'queued' AND unserved = 0 AND queue > names.queue) FROM names WHERE queue IS NOT NULL
)
SELECT queue FROM names WHERE queue IS NOT NULL;
