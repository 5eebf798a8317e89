DELETE FROM starts
WHERE (queue, scope, slice) IN (SELECT queue, scope, slice FROM starts WHERE slice < :before ORDER BY slice LIMIT :limit)
RETURNING slice;
