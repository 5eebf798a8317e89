INSERT INTO bare (run, seq, step, value, ended_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (run, seq) DO UPDATE SET step = excluded.step, value = excluded.value, ended_at = excluded.ended_at;
