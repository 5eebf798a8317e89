-- Those of the runs named that the filters leave, in the order given. A run without a task is the husk of a deleted one.
SELECT runs.* FROM json_each(:keys) AS one CROSS JOIN runs ON runs.key = one.value
WHERE task <> ''
  AND (CAST(:task AS TEXT) IS NULL OR task = :task)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
  AND (CAST(:tag AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM json_each(runs.tags) WHERE value = :tag))
  AND (CAST(:parent AS TEXT) IS NULL OR parent_id = :parent)
ORDER BY one.key LIMIT :limit;
