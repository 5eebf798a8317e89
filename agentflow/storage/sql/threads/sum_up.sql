INSERT INTO summaries (thread, upto, run_id, body, created_at) VALUES (:thread, :upto, :run_id, :body, :now) ON CONFLICT DO NOTHING;
