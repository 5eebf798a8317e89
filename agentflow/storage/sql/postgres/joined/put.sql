-- The run is held, so that nothing is added to one whose end is recorded.
INSERT INTO joined (run, origin, seq, at, events)
SELECT key, :origin, :seq, :at, :events FROM runs WHERE id = :target AND finished_at IS NULL FOR SHARE;
