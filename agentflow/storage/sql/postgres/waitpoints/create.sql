INSERT INTO waitpoints (
  id, run, run_id, step, kind, state, target, subject, schema, answer, answered_by, due_at, attempt, created_at, ended_at, wake
)
SELECT :id, :run, :run_id, :step, :kind, :state, :target, :subject, :schema, :answer, :answered_by, :due_at, :attempt, :now, :ended_at, :wake
FROM runs WHERE key = :run AND epoch = :epoch AND state = 'running' FOR SHARE
ON CONFLICT DO NOTHING
RETURNING *;
