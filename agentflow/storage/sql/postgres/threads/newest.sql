SELECT * FROM threads WHERE (touched_at, key) < (CAST(:touched_at AS BIGINT), CAST(:key AS BIGINT))
ORDER BY touched_at DESC, key DESC LIMIT :limit;
