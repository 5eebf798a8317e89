SELECT * FROM waitpoints WHERE run = :run ORDER BY created_at, id;
