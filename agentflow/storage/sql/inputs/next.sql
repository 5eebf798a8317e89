SELECT seq, data FROM inputs WHERE run = :run AND name = :name AND data IS NOT NULL ORDER BY seq LIMIT 1;
