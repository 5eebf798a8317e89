SELECT COALESCE(MAX(seq), 0) AS seq FROM journal WHERE run = :run;
