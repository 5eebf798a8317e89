-- Runs that may go. The husk of a deleted run has no task; it goes once it is not the newest row.
SELECT key, id, task FROM runs
WHERE key > :after AND key <= :upto AND finished_at <= CAST(:before AS BIGINT) AND hooks <> 'due' AND cancel_children = 0
  AND (task <> '' OR key < (SELECT MAX(key) FROM runs))
  AND NOT EXISTS (SELECT 1 FROM waitpoints WHERE target = runs.id AND state = 'pending')
  AND NOT EXISTS (
    SELECT 1 FROM runs AS above WHERE above.key = runs.parent AND (above.finished_at IS NULL OR above.finished_at > CAST(:before AS BIGINT))
  )
ORDER BY key FOR UPDATE OF runs SKIP LOCKED;
