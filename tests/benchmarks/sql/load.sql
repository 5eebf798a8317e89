SELECT value FROM journal ORDER BY run, seq;
