-- What was sent to a run, for a run that takes it up again.
INSERT INTO inputs (run, name, seq, data, entry, idempotency_key, digest, sent_at, sent_by)
SELECT :target, name, seq, data, entry, idempotency_key, digest, sent_at, sent_by FROM inputs WHERE run = :source;
