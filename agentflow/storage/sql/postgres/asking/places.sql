-- PostgreSQL: its own reading of JSON arrays.
SELECT one.waitpoint, one.held, (
  SELECT COUNT(*) FROM asking AS other JOIN waitpoints ON waitpoints.id = other.waitpoint AND waitpoints.state = 'pending'
  WHERE other.family = one.family AND other.same = one.same
) AS times
FROM json_array_elements_text(CAST(:waitpoints AS json)) AS wanted (value) JOIN asking AS one ON one.waitpoint = wanted.value;
