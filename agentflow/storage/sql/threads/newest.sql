SELECT * FROM threads WHERE (touched_at, key) < (:touched_at, :key) ORDER BY touched_at DESC, key DESC LIMIT :limit;
