UPDATE waitpoints SET state = 'cancelled', ended_at = :now WHERE run = :run AND state = 'pending' RETURNING *;
