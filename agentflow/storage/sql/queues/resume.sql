UPDATE queues SET paused_at = NULL, paused_by = NULL WHERE name = :name RETURNING *;
