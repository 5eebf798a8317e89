-- The runs that a run holds up: those that wait for it, those that wait for them, and so on; with what is known of the wait.
WITH RECURSIVE above (run, run_id, subject) AS (
  SELECT run, run_id, subject FROM waitpoints WHERE target = :run_id AND state = 'pending' AND kind = 'child'
  UNION
  SELECT waitpoints.run, waitpoints.run_id, waitpoints.subject
  FROM above JOIN waitpoints ON waitpoints.target = above.run_id AND waitpoints.state = 'pending' AND waitpoints.kind = 'child'
)
SELECT run, subject FROM above LIMIT :limit;
