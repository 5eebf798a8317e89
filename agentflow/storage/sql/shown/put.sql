INSERT INTO shown (waitpoint, run, call) VALUES (:waitpoint, :run, :call) ON CONFLICT DO NOTHING;
