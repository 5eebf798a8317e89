INSERT INTO rungs (waitpoint, seq, run, due_at, target) VALUES (:waitpoint, :seq, :run, :due_at, :target);
