-- The oldest of equal questions takes the place of the one that has ended: it is next when there is room.
UPDATE asking SET held = 'full'
WHERE waitpoint = (
  SELECT waitpoint FROM asking WHERE family = :family AND same = :same AND held = 'same' ORDER BY created_at, waitpoint LIMIT 1
) AND NOT EXISTS (
  SELECT 1 FROM asking AS first WHERE first.family = :family AND first.same = :same AND COALESCE(first.held, '') <> 'same'
)
RETURNING waitpoint;
