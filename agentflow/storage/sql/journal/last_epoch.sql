SELECT epoch FROM journal WHERE run = :run ORDER BY seq DESC LIMIT 1;
