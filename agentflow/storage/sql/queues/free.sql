-- Code gives these queues no limits any more; those that are not paused have no row then.
UPDATE queues
SET concurrency = NULL, key_concurrency = NULL, rate = NULL, rate_period = NULL, key_rate = NULL, key_rate_period = NULL
WHERE name = :name;
