SELECT id FROM runs
WHERE task = :task AND version = :version AND finished_at IS NULL AND created_at <= :until
ORDER BY key LIMIT :limit;
