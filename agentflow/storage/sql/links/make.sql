-- The waitpoint is locked.
INSERT INTO links (id, hash, waitpoint, run, actor, member_of, choices, made_by, expires_at, created_at)
SELECT :id, :hash, id, run, :actor, :member_of, :choices, :made_by, :expires_at, :now FROM waitpoints WHERE id = :waitpoint;
