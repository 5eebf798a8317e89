-- Of the runs named, those that nobody will take: no live worker serves their queue and knows their task. A run whose time has not come may
-- still find one.
SELECT runs.* FROM json_each(:keys) AS one CROSS JOIN runs ON runs.key = one.value
WHERE (runs.state = 'queued' OR (runs.state = 'scheduled' AND note IS NOT NULL)) AND NOT EXISTS (
  SELECT 1 FROM workers WHERE workers.expires_at > :now AND workers.state = 'live'
    AND EXISTS (SELECT 1 FROM json_each(workers.queues) WHERE value = runs.queue)
    AND EXISTS (SELECT 1 FROM json_each(workers.tasks) WHERE value = runs.task || COALESCE('@' || runs.version, '')))
ORDER BY position LIMIT :limit;
