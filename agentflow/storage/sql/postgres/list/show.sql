-- Those of the runs named that the filters leave, newest first. A run without a task is the husk of a deleted one.
SELECT * FROM runs
WHERE key = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:keys AS json)) AS BIGINT)))
  AND task <> ''
  AND (CAST(:task AS TEXT) IS NULL OR task = :task)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
  AND (CAST(:tag AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM json_array_elements_text(CAST(tags AS json)) AS one(tag) WHERE one.tag = :tag))
  AND (CAST(:parent AS TEXT) IS NULL OR parent_id = :parent)
ORDER BY key DESC LIMIT :limit;
