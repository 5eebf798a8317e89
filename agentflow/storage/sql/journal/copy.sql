-- What a run had done, for a run that takes it up again. What had failed is tried anew.
INSERT INTO journal (run, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at)
SELECT :target, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at
FROM journal WHERE run = :source AND kind NOT IN ('error', 'try') ORDER BY seq;
