INSERT INTO requesters (run, name, started) VALUES (:run, :name, :started) ON CONFLICT DO NOTHING;
