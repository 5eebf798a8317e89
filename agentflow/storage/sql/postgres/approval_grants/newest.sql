-- `since`: only those that count then; NULL for all.
SELECT * FROM approval_grants
WHERE (CAST(:since AS BIGINT) IS NULL OR (revoked_at IS NULL AND expires_at > CAST(:since AS BIGINT) AND (max_uses IS NULL OR uses < max_uses))) AND (CAST(:tool AS TEXT) IS NULL OR tool = CAST(:tool AS TEXT))
ORDER BY id DESC LIMIT CAST(:limit AS BIGINT);
