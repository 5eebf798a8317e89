-- As complete, for many runs at once. They are locked children first.
WITH given AS (
  SELECT * FROM UNNEST(
    CAST(:run AS BIGINT[]), CAST(:epoch AS BIGINT[]), CAST(:output AS TEXT[]), CAST(:active AS BIGINT[]), CAST(:code AS TEXT[]),
    CAST(:now AS BIGINT[])
  ) WITH ORDINALITY AS one (run, epoch, output, active, code, now, at)
),
held AS (
  SELECT key, epoch FROM runs
  WHERE key IN (SELECT run FROM given) AND state = 'running' AND cancel_reason IS NULL AND watched = 0
  ORDER BY key DESC FOR NO KEY UPDATE
)
UPDATE runs
SET state = 'completed', worker = NULL, output = given.output, error = NULL, active = given.active, finished_at = given.now, note = NULL,
    expires_at = NULL, code = given.code,
    hooks = CASE WHEN hooks = 'wanted' THEN 'due' ELSE hooks END,
    hooks_at = CASE WHEN hooks = 'wanted' THEN given.now ELSE hooks_at END
FROM given JOIN held ON held.key = given.run AND held.epoch = given.epoch
WHERE runs.key = held.key
RETURNING given.at, runs.key;
