SELECT id FROM runs
WHERE expires_at IS NOT NULL AND epoch = 0 AND expires_at <= :now AND state IN ('queued', 'scheduled')
ORDER BY expires_at LIMIT :limit;
