INSERT INTO journal (run, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at)
SELECT :target, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at FROM journal WHERE run = :source ORDER BY seq;
