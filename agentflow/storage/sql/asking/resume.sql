-- People are shown a question: its time, and that of its equals, begins, unless it has begun.
UPDATE waitpoints SET due_at = :now + (SELECT span FROM asking WHERE asking.waitpoint = waitpoints.id)
WHERE state = 'pending' AND due_at IS NULL AND id IN (
  SELECT waitpoint FROM asking WHERE waitpoint = :waitpoint
  UNION ALL
  SELECT other.waitpoint FROM asking AS one JOIN asking AS other ON other.family = one.family AND other.same = one.same
  WHERE one.waitpoint = :waitpoint
);
