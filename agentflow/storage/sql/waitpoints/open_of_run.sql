SELECT * FROM waitpoints
WHERE run = (SELECT key FROM runs WHERE id = :run_id) AND state = 'pending'
ORDER BY created_at DESC, id DESC;
