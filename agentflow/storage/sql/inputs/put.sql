INSERT INTO inputs (run, name, seq, data, idempotency_key, digest, sent_at, sent_by) VALUES (:run, :name, :seq, :data, :idempotency_key, :digest, :now, :sent_by);
