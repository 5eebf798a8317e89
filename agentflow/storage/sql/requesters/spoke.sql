INSERT INTO speakers (thread, name) VALUES (:thread, :name) ON CONFLICT DO NOTHING;
