-- Whose turn it is.
SELECT * FROM runs WHERE thread = :thread AND turn IS NOT NULL AND finished_at IS NULL ORDER BY turn LIMIT 1;
