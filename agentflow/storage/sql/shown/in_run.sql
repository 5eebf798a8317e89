SELECT waitpoints.*, shown.call FROM shown JOIN waitpoints ON waitpoints.id = shown.waitpoint
WHERE shown.run = :run ORDER BY waitpoints.created_at, waitpoints.id;
