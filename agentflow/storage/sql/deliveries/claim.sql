-- What is due on these channels; an address is told one thing after the other.
UPDATE deliveries SET holder = :holder, attempts = attempts + 1, due_at = :until
WHERE (waitpoint, seq) IN (
  SELECT waitpoint, seq FROM deliveries AS one
  WHERE state = 'pending' AND due_at <= :now AND channel IN (SELECT value FROM json_each(:channels)) AND NOT EXISTS (
    SELECT 1 FROM deliveries AS earlier
    WHERE earlier.waitpoint = one.waitpoint AND earlier.seq < one.seq AND earlier.state = 'pending'
      AND earlier.channel = one.channel AND earlier.address = one.address
  )
  ORDER BY due_at LIMIT :limit
)
RETURNING *;
