-- A blob that is there is touched, and locked until the row that points to it is committed: an upkeep leaves it alone.
INSERT INTO blobs (hash, value, created_at) VALUES (:hash, :value, :now)
ON CONFLICT (hash) DO UPDATE SET created_at = GREATEST(blobs.created_at, excluded.created_at);
