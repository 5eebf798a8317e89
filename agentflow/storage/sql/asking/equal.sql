-- A question and its equals that are open, the later runs first.
SELECT other.waitpoint, other.run FROM asking AS one
JOIN asking AS other ON other.family = one.family AND other.same = one.same
JOIN waitpoints ON waitpoints.id = other.waitpoint AND waitpoints.state = 'pending'
WHERE one.waitpoint = :waitpoint
ORDER BY other.run DESC, other.waitpoint;
