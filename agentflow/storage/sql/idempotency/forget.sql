-- The keys that led to these runs: a key belongs to its task, and to the parent of the run where it was given inside of one.
DELETE FROM idempotency
WHERE (key, owner) IN (
  SELECT '/' || runs.task || '/' || runs.idempotency_key, runs.id
  FROM json_each(:runs) AS one CROSS JOIN runs ON runs.key = one.value WHERE runs.idempotency_key IS NOT NULL
  UNION ALL
  SELECT runs.parent_id || '/' || runs.task || '/' || runs.idempotency_key, runs.id
  FROM json_each(:runs) AS one CROSS JOIN runs ON runs.key = one.value WHERE runs.idempotency_key IS NOT NULL AND runs.parent_id IS NOT NULL
);
