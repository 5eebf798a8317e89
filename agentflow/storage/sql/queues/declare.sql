-- The limits that code gives a queue. Whether it is paused is for operators to say.
INSERT INTO queues (name, concurrency, key_concurrency, rate, rate_period, key_rate, key_rate_period)
VALUES (:name, :concurrency, :key_concurrency, :rate, :rate_period, :key_rate, :key_rate_period)
ON CONFLICT (name) DO UPDATE
SET concurrency = excluded.concurrency, key_concurrency = excluded.key_concurrency, rate = excluded.rate, rate_period = excluded.rate_period,
    key_rate = excluded.key_rate, key_rate_period = excluded.key_rate_period;
