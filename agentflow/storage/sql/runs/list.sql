SELECT * FROM runs
WHERE (CAST(:task AS TEXT) IS NULL OR task = :task)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
  AND (CAST(:tag AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag))
  AND (CAST(:parent AS TEXT) IS NULL OR parent_id = :parent)
  AND (CAST(:before AS BIGINT) IS NULL OR key < :before)
ORDER BY key DESC LIMIT :limit;
