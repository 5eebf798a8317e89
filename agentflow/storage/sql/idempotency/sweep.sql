DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit);
