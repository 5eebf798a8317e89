-- Sets aside queued runs whose code no live worker has, among the first of a queue: they would stand in the way of others.
-- `tasks` are served here.
UPDATE runs
SET unserved = 1, note = 'no worker for ' || task || COALESCE(' version ' || version, '')
WHERE key IN (
  SELECT key FROM (
    SELECT key, task, queue, version FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = :queue
    ORDER BY COALESCE(concurrency_key, ''), position, key LIMIT :look
  ) AS first
  WHERE task || COALESCE('@' || version, '') NOT IN (SELECT json_array_elements_text(CAST(:tasks AS json))) AND NOT EXISTS (
    SELECT 1 FROM workers WHERE workers.expires_at > :now AND workers.state = 'live'
      AND EXISTS (SELECT 1 FROM json_array_elements_text(CAST(workers.queues AS json)) AS one(name) WHERE one.name = first.queue)
      AND EXISTS (SELECT 1 FROM json_array_elements_text(CAST(workers.tasks AS json)) AS one(name) WHERE one.name = first.task || COALESCE('@' || first.version, '')))
) AND state = 'queued'
RETURNING id;
