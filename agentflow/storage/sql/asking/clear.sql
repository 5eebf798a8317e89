-- What has ended, however it did.
DELETE FROM asking
WHERE family = :family AND NOT EXISTS (SELECT 1 FROM waitpoints WHERE waitpoints.id = asking.waitpoint AND waitpoints.state = 'pending')
RETURNING same, held;
