INSERT INTO blobs (hash, value, created_at) VALUES (:hash, :value, :now) ON CONFLICT (hash) DO NOTHING;
