-- How many questions of a family people are asked now, up to `most`, and whether one equal to `same` is open.
SELECT
  (SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM asking JOIN waitpoints ON waitpoints.id = asking.waitpoint AND waitpoints.state = 'pending'
    WHERE asking.family = :family AND asking.held IS NULL LIMIT :most
  ) AS shown) AS shown,
  (SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM asking JOIN waitpoints ON waitpoints.id = asking.waitpoint AND waitpoints.state = 'pending'
    WHERE asking.family = :family AND asking.same = :same LIMIT 1
  ) AS equal) AS equal;
