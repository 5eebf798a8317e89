-- What a run had an answer to, for a run that takes it up again. Pauses between the tries of a step (`~`) are waited for anew, as is its turn
-- in a thread: it has another place.
INSERT INTO waitpoints (
  id, run, run_id, step, kind, state, target, subject, schema, answer, answered_by, due_at, attempt, created_at, ended_at, wake
)
SELECT 'wp_' || SUBSTR(:target_id, 5) || '_' || SUBSTR(id, 4), :target, :target_id, step, kind, state, target, subject, schema, answer, answered_by,
  due_at, attempt, created_at, ended_at, 0
FROM waitpoints WHERE run = :source AND state IN ('answered', 'timed_out') AND step NOT LIKE '%~%'
  AND step NOT LIKE 'thread.turn#%';
