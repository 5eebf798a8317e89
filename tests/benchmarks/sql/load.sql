SELECT value FROM bare ORDER BY run, seq;
