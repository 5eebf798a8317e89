DELETE FROM approval_grants
WHERE id IN (SELECT id FROM approval_grants WHERE expires_at <= :before ORDER BY expires_at LIMIT :limit)
RETURNING id;
