INSERT INTO grants (budget, run) VALUES (:budget, :run) ON CONFLICT DO NOTHING;
