INSERT INTO inputs (run, name, seq, data, idempotency_key, digest, sent_at) VALUES (:run, :name, :seq, :data, :idempotency_key, :digest, :now);
