SELECT key, id, epoch FROM runs WHERE worker = :worker ORDER BY key LIMIT :limit;
