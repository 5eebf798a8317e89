-- The open questions of a run, and those that are shown in it.
SELECT id, run_id FROM waitpoints
WHERE run = (SELECT key FROM runs WHERE id = :run_id) AND state = 'pending' AND kind = 'approval'
UNION
SELECT waitpoints.id, waitpoints.run_id FROM shown JOIN waitpoints ON waitpoints.id = shown.waitpoint
WHERE shown.run = (SELECT key FROM runs WHERE id = :run_id) AND waitpoints.state = 'pending';
