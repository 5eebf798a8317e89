-- A thread that begins with messages of another; none where there is one of that id.
INSERT INTO threads (id, agent, messages, source, base, created_at, touched_at) VALUES (:id, :agent, :base, :source, :base, :now, :now)
ON CONFLICT (id) DO NOTHING RETURNING *;
