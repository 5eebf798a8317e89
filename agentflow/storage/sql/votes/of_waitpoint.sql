SELECT * FROM votes WHERE waitpoint = :waitpoint ORDER BY seq;
