SELECT value FROM journal WHERE run = :run AND seq = :seq;
