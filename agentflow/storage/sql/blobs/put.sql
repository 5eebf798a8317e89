-- Nothing here can come between this and the row that points to it; PostgreSQL touches the blob, so that it is not swept meanwhile.
INSERT INTO blobs (hash, value, created_at) VALUES (:hash, :value, :now) ON CONFLICT (hash) DO NOTHING;
