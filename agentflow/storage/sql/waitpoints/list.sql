SELECT * FROM waitpoints
WHERE (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
  AND (CAST(:run_id AS TEXT) IS NULL OR run_id = :run_id)
ORDER BY created_at DESC, id DESC LIMIT :limit;
