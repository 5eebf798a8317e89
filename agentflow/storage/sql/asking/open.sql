-- How many questions of a family people are asked now, up to `most`, whether one equal to `same` is open, and whether people see one.
SELECT
  (SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM asking JOIN waitpoints ON waitpoints.id = asking.waitpoint AND waitpoints.state = 'pending'
    WHERE asking.family = :family AND asking.held IS NULL LIMIT :most
  ) AS shown) AS shown,
  (SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM asking JOIN waitpoints ON waitpoints.id = asking.waitpoint AND waitpoints.state = 'pending'
    WHERE asking.family = :family AND asking.same = :same LIMIT 1
  ) AS equal) AS equal,
  (SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM asking JOIN waitpoints ON waitpoints.id = asking.waitpoint AND waitpoints.state = 'pending'
    WHERE asking.family = :family AND asking.same = :same AND asking.held IS NULL LIMIT 1
  ) AS seen) AS seen;
