-- The keys that led to these runs: a key belongs to its task, and to the parent of the run where it was given inside of one.
DELETE FROM idempotency
WHERE (key, owner) IN (
  SELECT COALESCE(scope.id, '') || '/' || runs.task || '/' || runs.idempotency_key, runs.id
  FROM runs CROSS JOIN LATERAL (VALUES (NULL), (runs.parent_id)) AS scope(id)
  WHERE runs.key = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:runs AS json)) AS BIGINT))) AND runs.idempotency_key IS NOT NULL
);
