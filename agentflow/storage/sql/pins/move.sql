UPDATE prompt_pins SET number = :number, hash = :hash, variant = NULL, rollout = NULL, moved_by = :moved_by, at = :now
WHERE scope = :scope AND prompt = :prompt AND label = :label RETURNING *;
