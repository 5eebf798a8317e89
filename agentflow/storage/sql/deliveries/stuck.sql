-- What could not be told while it matters: of open waitpoints, by channel. `waitpoint` is one of them.
SELECT channel, one.state AS state, COUNT(*) AS many, MIN(waitpoint) AS waitpoint, MAX(error) AS error
FROM deliveries AS one JOIN waitpoints ON waitpoints.id = one.waitpoint
WHERE waitpoints.state = 'pending' AND (one.state = 'dead' OR (one.state = 'pending' AND one.created_at <= :before))
GROUP BY channel, one.state ORDER BY channel, one.state;
