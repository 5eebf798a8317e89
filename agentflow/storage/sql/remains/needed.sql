-- Somebody is still to hear of the end of this run.
SELECT 1 AS needed FROM runs
WHERE key = :run AND (
  hooks = 'due'
  OR EXISTS (SELECT 1 FROM waitpoints WHERE target = :id AND state = 'pending')
  OR cancel_children = 1 AND EXISTS (
    SELECT 1 FROM runs AS child WHERE child.parent = :run AND child.on_parent_cancel = 'cancel' AND child.finished_at IS NULL
  )
);
