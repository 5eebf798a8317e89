SELECT at, events FROM joined WHERE run = :run ORDER BY at, origin, seq;
