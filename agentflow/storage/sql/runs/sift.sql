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
  WHERE task || COALESCE('@' || version, '') NOT IN (SELECT value FROM json_each(:tasks)) AND NOT EXISTS (
    SELECT 1 FROM workers WHERE workers.expires_at > :now AND workers.state = 'live'
      AND EXISTS (SELECT 1 FROM json_each(workers.queues) WHERE value = first.queue)
      AND EXISTS (SELECT 1 FROM json_each(workers.tasks) WHERE value = first.task || COALESCE('@' || first.version, '')))
)
RETURNING id;
