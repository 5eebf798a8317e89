-- A call that is followed by several steps began with the first of them; else the try that is recorded here did.
INSERT INTO generations (
  id, prompt, number, hash, env, label, variant, rollout, run, seq, step, at, duration, first_token,
  provider, model, input, output, cached, reasoning, cost, ended, error, rendered, variables
)
SELECT CAST(:id AS TEXT), CAST(:prompt AS TEXT),
  COALESCE(CAST(:number AS BIGINT), (SELECT number FROM prompt_versions WHERE prompt = CAST(:prompt AS TEXT) AND hash = CAST(:hash AS TEXT)), 0),
  CAST(:hash AS TEXT), CAST(:env AS TEXT), CAST(:label AS TEXT), CAST(:variant AS TEXT), CAST(:rollout AS TEXT),
  CAST(:run AS BIGINT), CAST(:seq AS BIGINT), CAST(:step AS TEXT), CAST(:now AS BIGINT), CAST(:now AS BIGINT) - began, CAST(:first_at AS BIGINT) - began,
  CAST(:provider AS TEXT), CAST(:model AS TEXT), CAST(:input AS BIGINT), CAST(:output AS BIGINT), CAST(:cached AS BIGINT), CAST(:reasoning AS BIGINT),
  CAST(:cost AS BIGINT), CAST(:ended AS TEXT), CAST(:error AS TEXT), CAST(:rendered AS TEXT), CAST(:variables AS TEXT)
FROM (
  SELECT COALESCE((
    SELECT MIN(started_at) FROM journal
    WHERE CAST(:call AS TEXT) IS NOT NULL AND run = CAST(:run AS BIGINT) AND kind = 'result'
      AND SUBSTR(step, 1, LENGTH(CAST(:call AS TEXT)) + 1) = CAST(:call AS TEXT) || '/'
  ), CAST(:began AS BIGINT)) AS began
) AS call;
