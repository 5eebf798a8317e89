INSERT INTO joined (run, origin, seq, at, events)
SELECT key, :origin, :seq, :at, :events FROM runs WHERE id = :target AND finished_at IS NULL;
