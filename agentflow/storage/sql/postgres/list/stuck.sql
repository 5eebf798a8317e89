-- Of the runs named, those that nobody will take: no live worker serves their queue and knows their task. A run whose time has not come may
-- still find one.
SELECT * FROM runs
WHERE key = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:keys AS json)) AS BIGINT)))
  AND (state = 'queued' OR (state = 'scheduled' AND note IS NOT NULL)) AND NOT EXISTS (
  SELECT 1 FROM workers WHERE workers.expires_at > :now AND workers.state = 'live'
    AND EXISTS (SELECT 1 FROM json_array_elements_text(CAST(workers.queues AS json)) AS one(name) WHERE one.name = runs.queue)
    AND EXISTS (SELECT 1 FROM json_array_elements_text(CAST(workers.tasks AS json)) AS one(name) WHERE one.name = runs.task || COALESCE('@' || runs.version, '')))
ORDER BY position LIMIT :limit;
