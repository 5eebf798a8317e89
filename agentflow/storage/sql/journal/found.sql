SELECT epoch FROM journal WHERE run = :run AND seq = :seq;
