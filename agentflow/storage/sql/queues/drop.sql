DELETE FROM queues
WHERE name = :name AND paused_at IS NULL AND concurrency IS NULL AND key_concurrency IS NULL AND rate IS NULL AND key_rate IS NULL;
