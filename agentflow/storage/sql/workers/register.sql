INSERT INTO workers (id, host, pid, slots, queues, tasks, state, started_at, expires_at, claimed_at)
VALUES (:id, :host, :pid, :slots, :queues, :tasks, 'live', :now, :expires_at, :now)
RETURNING id;
