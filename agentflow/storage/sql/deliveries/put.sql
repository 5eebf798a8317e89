-- The waitpoint is locked, or not there for others yet: nobody takes the same number.
INSERT INTO deliveries (waitpoint, seq, run, channel, address, person, event, due_at, created_at)
SELECT id, (SELECT COALESCE(MAX(seq), 0) + 1 FROM deliveries WHERE waitpoint = :waitpoint), run, :channel, :address, :person, :event, :now, :now
FROM waitpoints WHERE id = :waitpoint;
