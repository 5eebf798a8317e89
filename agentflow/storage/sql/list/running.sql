SELECT key FROM runs WHERE state = 'running' ORDER BY queue, COALESCE(concurrency_key, '') LIMIT :most;
