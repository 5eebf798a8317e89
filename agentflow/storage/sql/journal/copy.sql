-- What a run had done, for a run that takes it up again. What had failed is tried anew; that a call began which people had agreed to
-- (a try with a digest) stays known.
INSERT INTO journal (run, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at)
SELECT :target, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at
FROM journal WHERE run = :source AND kind <> 'error' AND (kind <> 'try' OR digest IS NOT NULL) ORDER BY seq;
