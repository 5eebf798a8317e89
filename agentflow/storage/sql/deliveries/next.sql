-- When the next one is due that waits for no other.
SELECT due_at FROM deliveries AS one
WHERE state = 'pending' AND channel IN (SELECT value FROM json_each(:channels)) AND NOT EXISTS (
  SELECT 1 FROM deliveries AS earlier
  WHERE earlier.waitpoint = one.waitpoint AND earlier.seq < one.seq AND earlier.state = 'pending'
    AND earlier.channel = one.channel AND earlier.address = one.address
)
ORDER BY due_at LIMIT 1;
