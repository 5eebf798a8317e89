UPDATE runs SET state = 'queued', ready_at = NULL
WHERE key IN (SELECT key FROM runs WHERE state = 'scheduled' AND ready_at <= :now ORDER BY ready_at LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING id, queue;
