SELECT * FROM runs WHERE task = :task AND dedupe_key = :dedupe_key AND finished_at IS NULL;
