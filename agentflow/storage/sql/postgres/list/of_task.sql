-- The order by both columns lets no plan but the index's look right: by key alone, all runs would be looked through for a rare task.
SELECT key FROM runs
WHERE (task, key) < (CAST(:task AS TEXT), CAST(:before AS BIGINT)) AND task >= CAST(:task AS TEXT)
ORDER BY task DESC, key DESC LIMIT :look;
