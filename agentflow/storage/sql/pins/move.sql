UPDATE prompt_pins SET number = :number, hash = :hash, variant = NULL, rollout = NULL, moved_by = :moved_by, at = :now
WHERE scope = :scope AND prompt = :prompt AND (CAST(:label AS TEXT) IS NULL OR label = :label) RETURNING *;
