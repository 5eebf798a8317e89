INSERT INTO callbacks (hash, waitpoint, run, signing, created_at) VALUES (:hash, :waitpoint, :run, :signing, :now) ON CONFLICT DO NOTHING;
