INSERT INTO idempotency (key, owner, digest, expires_at) VALUES (:key, :owner, :digest, :expires_at)
ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, digest = excluded.digest, expires_at = excluded.expires_at
WHERE idempotency.expires_at <= :now
RETURNING owner;
