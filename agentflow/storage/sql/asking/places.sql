-- Of each of these: why it is held, and how many equal questions are open, with it.
SELECT one.waitpoint, one.held, (
  SELECT COUNT(*) FROM asking AS other JOIN waitpoints ON waitpoints.id = other.waitpoint AND waitpoints.state = 'pending'
  WHERE other.family = one.family AND other.same = one.same
) AS times
FROM json_each(:waitpoints) AS wanted CROSS JOIN asking AS one ON one.waitpoint = wanted.value;
