SELECT * FROM waitpoints
WHERE run = (SELECT key FROM runs WHERE id = :run_id)
  AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
ORDER BY created_at DESC, id DESC LIMIT :limit;
