-- Of the first runs that are kept, when the first of those that have ended did so.
SELECT MIN(finished_at) AS at FROM (SELECT finished_at, task FROM runs WHERE key > 0 ORDER BY key LIMIT :look) AS first WHERE task <> '';
