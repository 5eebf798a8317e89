INSERT OR REPLACE INTO journal (run, seq, step, value, ended_at) VALUES (?, ?, ?, ?, ?);
