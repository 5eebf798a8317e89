UPDATE prompt_versions SET revoked_at = COALESCE(revoked_at, :now), revoke_policy = :policy
WHERE prompt = :prompt AND number = :number RETURNING *;
