SELECT COUNT(*) AS runs FROM runs WHERE state = 'running' AND queue = :queue AND COALESCE(concurrency_key, '') = :lane;
