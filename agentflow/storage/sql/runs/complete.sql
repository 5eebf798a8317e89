-- The whole end of a run that nobody waits for and that waits for nothing; no row when it is not that simple.
UPDATE runs
SET state = 'completed', worker = NULL, output = :output, error = NULL, active = :active, finished_at = :now, note = NULL, expires_at = NULL,
    code = :code,
    hooks = CASE WHEN hooks = 'wanted' THEN 'due' ELSE hooks END,
    hooks_at = CASE WHEN hooks = 'wanted' THEN :now ELSE hooks_at END
WHERE key = :run AND epoch = :epoch AND state = 'running' AND cancel_reason IS NULL
  AND NOT EXISTS (SELECT 1 FROM waitpoints WHERE target = runs.id AND state = 'pending')
  AND NOT EXISTS (SELECT 1 FROM waitpoints WHERE run = runs.key AND state = 'pending')
RETURNING key;
