-- Families that ask more than people are shown at once.
SELECT family, COUNT(*) AS many, MIN(waitpoint) AS waitpoint FROM asking
WHERE held = 'full' AND EXISTS (SELECT 1 FROM waitpoints WHERE waitpoints.id = asking.waitpoint AND waitpoints.state = 'pending')
GROUP BY family ORDER BY COUNT(*) DESC LIMIT :limit;
