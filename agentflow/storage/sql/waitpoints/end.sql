UPDATE waitpoints
SET state = :state, answer = :answer, answered_by = :by, ended_at = :now, wake = :wake
WHERE id = :id AND state = 'pending'
RETURNING *;
