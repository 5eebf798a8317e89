-- When the next timer, reminder, delay, time to live, cancel or lease of another worker ends.
SELECT MIN(at) AS at FROM (
  SELECT MIN(due_at) AS at FROM waitpoints WHERE state = 'pending' AND due_at IS NOT NULL
  UNION ALL SELECT MIN(due_at) FROM rungs
  UNION ALL SELECT MIN(ready_at) FROM runs WHERE state = 'scheduled'
  UNION ALL SELECT MIN(expires_at) FROM runs WHERE expires_at IS NOT NULL AND epoch = 0
  UNION ALL SELECT MIN(cancel_by) FROM runs WHERE cancel_by IS NOT NULL
  UNION ALL SELECT MIN(expires_at) FROM workers WHERE id <> :worker
);
