INSERT OR REPLACE INTO bare (run, seq, step, value, ended_at) VALUES (?, ?, ?, ?, ?);
