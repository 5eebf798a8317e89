-- How long people have for a question, in microseconds: the time of one that they are not shown begins when they are.
ALTER TABLE asking ADD COLUMN span BIGINT;
UPDATE asking SET span = (SELECT due_at - created_at FROM waitpoints WHERE waitpoints.id = asking.waitpoint);
UPDATE waitpoints SET due_at = NULL
WHERE state = 'pending' AND id IN (
  SELECT waitpoint FROM asking WHERE held IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM asking AS shown WHERE shown.family = asking.family AND shown.same = asking.same AND shown.held IS NULL
  )
);
