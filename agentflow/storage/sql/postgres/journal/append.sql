INSERT INTO journal (run, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at)
SELECT :run, :seq, :kind, :step, :value, :digest, :code, :attempt, :tries, :epoch, :started_at, :ended_at
FROM runs WHERE key = :run AND epoch = :epoch AND state = 'running' FOR SHARE
RETURNING seq;
