UPDATE approval_grants SET revoked_at = COALESCE(revoked_at, :now), revoked_by = COALESCE(revoked_by, :by) WHERE id = :id RETURNING *;
