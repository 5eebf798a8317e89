SELECT * FROM audit WHERE place IS NULL ORDER BY key LIMIT :limit;
