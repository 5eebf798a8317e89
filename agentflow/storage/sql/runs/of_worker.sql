SELECT key, id FROM runs WHERE worker = :worker ORDER BY key LIMIT :limit;
