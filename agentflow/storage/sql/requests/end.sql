UPDATE prompt_requests SET state = :state, outcome = :outcome, ended_at = :now WHERE id = :id AND state = 'asked';
