-- The waitpoint is locked: nobody takes the same number.
INSERT INTO votes (waitpoint, seq, run, actor, choice, body, key, counted, why, at)
SELECT id, (SELECT COALESCE(MAX(seq), 0) + 1 FROM votes WHERE waitpoint = :waitpoint), run, :actor, :choice, :body, :key, :counted, :why, :now
FROM waitpoints WHERE id = :waitpoint;
