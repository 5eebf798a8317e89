-- The last place in a thread's line. It locks the thread, which is made with its first run: places are in the order of commits.
INSERT INTO threads (id, agent, turns, created_at, touched_at) VALUES (:id, :agent, 1, :now, :now)
ON CONFLICT (id) DO UPDATE SET turns = threads.turns + 1, agent = excluded.agent, touched_at = excluded.touched_at
RETURNING turns;
