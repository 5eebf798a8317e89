SELECT * FROM idempotency WHERE key = :key AND expires_at > :now;
