INSERT INTO families (id) VALUES (:family) ON CONFLICT (id) DO UPDATE SET id = excluded.id;
