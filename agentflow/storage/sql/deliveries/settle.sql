-- By whoever sent it, unless its time was over and another does by now.
UPDATE deliveries SET
  state = :state, due_at = :due_at, reference = COALESCE(:reference, reference), error = :error, holder = NULL, ended_at = :ended_at
WHERE waitpoint = :waitpoint AND seq = :seq AND holder = :holder AND state = 'pending'
RETURNING seq;
