INSERT INTO waitpoints (id, run, run_id, step, kind, state, target, subject, schema, due_at, attempt, created_at, wake)
SELECT one.id || '_' || copy.key, copy.key, copy.id, one.step, one.kind, one.state, one.target, one.subject, one.schema, one.due_at + copy.key,
  one.attempt, one.created_at, one.wake
FROM waitpoints AS one CROSS JOIN runs AS copy
WHERE one.run = (SELECT key FROM runs WHERE id = :template) AND copy.task = (SELECT task FROM runs WHERE id = :template)
  AND copy.state = 'waiting' AND copy.id <> :template;
