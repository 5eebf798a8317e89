-- The time of a question that nobody is shown, and of its equals, does not pass.
UPDATE waitpoints SET due_at = NULL
WHERE state = 'pending' AND due_at IS NOT NULL AND id IN (
  SELECT waitpoint FROM asking WHERE waitpoint = :waitpoint
  UNION ALL
  SELECT other.waitpoint FROM asking AS one JOIN asking AS other ON other.family = one.family AND other.same = one.same
  WHERE one.waitpoint = :waitpoint
);
