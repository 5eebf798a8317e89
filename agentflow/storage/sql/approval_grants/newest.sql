-- `since`: only those that count then; NULL for all.
SELECT * FROM approval_grants
WHERE (:since IS NULL OR (revoked_at IS NULL AND expires_at > :since AND (max_uses IS NULL OR uses < max_uses))) AND (:tool IS NULL OR tool = :tool)
ORDER BY id DESC LIMIT :limit;
