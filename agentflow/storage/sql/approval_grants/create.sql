INSERT INTO approval_grants (id, scope, scope_id, tool, fits, granted_by, waitpoint, reason, max_uses, created_at, expires_at, who)
VALUES (:id, :scope, :scope_id, :tool, :fits, :granted_by, :waitpoint, :reason, :max_uses, :now, :expires_at, :who)
ON CONFLICT DO NOTHING
RETURNING *;
