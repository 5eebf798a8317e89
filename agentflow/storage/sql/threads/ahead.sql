-- Who is to end before the run at place `turn`: the nearest before it that has not.
SELECT id FROM runs WHERE thread = :thread AND turn < :turn AND finished_at IS NULL ORDER BY turn DESC LIMIT 1;
