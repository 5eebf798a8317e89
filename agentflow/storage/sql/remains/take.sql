SELECT run FROM remains WHERE CAST(:run AS BIGINT) IS NULL OR run = :run ORDER BY run LIMIT :limit;
