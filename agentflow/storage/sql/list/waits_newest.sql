-- Ids go by time, so the last ones are at the end of the primary key.
SELECT * FROM (SELECT * FROM waitpoints ORDER BY id DESC LIMIT :look) AS late
WHERE (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
ORDER BY created_at DESC, id DESC LIMIT :limit;
