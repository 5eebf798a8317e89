-- Runs that nobody will take: no live worker serves their queue or knows their task.
SELECT * FROM runs
WHERE state IN ('queued', 'scheduled') AND (note IS NOT NULL OR NOT EXISTS (
  SELECT 1 FROM workers WHERE workers.expires_at > :now
    AND EXISTS (SELECT 1 FROM json_each(workers.queues) WHERE value = runs.queue)
    AND EXISTS (SELECT 1 FROM json_each(workers.tasks) WHERE value = runs.task)))
  AND (state = 'queued' OR note IS NOT NULL)
ORDER BY position LIMIT :limit;
