SELECT key FROM runs WHERE state = 'queued' AND unserved = 0 AND queue = :queue ORDER BY COALESCE(concurrency_key, ''), position, key LIMIT :look;
