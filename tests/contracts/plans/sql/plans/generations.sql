INSERT INTO generations (id, prompt, number, hash, env, run, seq, step, at, duration, ended, rendered, variables)
SELECT 'gen_' || key, 'p' || (key % 100), 1 + key % 3, 'sha256:' || (key % 3), 'prod', key, 1, 's', CAST(:now AS BIGINT) + key, 10, 'answered', 'r', '{}'
FROM runs WHERE key <= CAST(:rows AS BIGINT);
