-- The calls of others that are under way.
SELECT COUNT(*) AS open FROM calls JOIN runs ON runs.key = calls.run AND runs.epoch = calls.epoch AND runs.state = 'running'
WHERE calls.budget = :budget AND NOT (calls.run = :run AND calls.step = :step);
