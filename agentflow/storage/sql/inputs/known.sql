SELECT seq, digest FROM inputs WHERE run = :run AND name = :name AND idempotency_key = :idempotency_key;
