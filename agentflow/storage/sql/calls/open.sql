-- The calls of others that are under way. One that its provider goes on with is so while its run is alive, whoever holds that.
SELECT calls.tokens, calls.cost, runs.state FROM calls JOIN runs ON runs.key = calls.run
WHERE calls.budget = :budget AND NOT (calls.run = :run AND calls.step = :step) AND (
  (runs.epoch = calls.epoch AND runs.state = 'running')
  OR (calls.kept = 1 AND runs.state IN ('running', 'waiting', 'queued', 'scheduled'))
);
