-- The last message of a stream, and the first that is not received yet.
SELECT
  (SELECT MAX(seq) FROM inputs WHERE run = :run AND name = :name) AS last,
  (SELECT MIN(seq) FROM inputs WHERE run = :run AND name = :name AND data IS NOT NULL) AS first;
