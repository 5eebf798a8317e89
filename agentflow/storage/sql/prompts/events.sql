SELECT * FROM prompt_events WHERE prompt = :prompt AND seq > :after AND (CAST(:env AS TEXT) IS NULL OR env = :env) ORDER BY seq LIMIT :limit;
