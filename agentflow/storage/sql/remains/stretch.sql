-- The last of the next `look` runs, and when the first of them was created.
SELECT MAX(key) AS last, MIN(created_at) AS oldest, COUNT(*) AS looked
FROM (SELECT key, created_at FROM runs WHERE key > :after ORDER BY key LIMIT :look) AS next;
