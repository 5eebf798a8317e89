INSERT INTO journal (run, seq, kind, step, attempt, tries, epoch, started_at, ended_at)
SELECT key, 1, 'result', 's#0', 1, 1, 1, CAST(:now AS BIGINT), CAST(:now AS BIGINT) FROM runs WHERE key <= CAST(:rows AS BIGINT);
