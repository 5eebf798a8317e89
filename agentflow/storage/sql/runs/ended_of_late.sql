-- Of the runs that were started last, those that ended since then. Going by key bounds the work without an index of its own.
SELECT id FROM runs WHERE key > (SELECT COALESCE(MAX(key), 0) FROM runs) - :span AND finished_at >= :since ORDER BY key;
