INSERT INTO joined (run, origin, seq, at, events) SELECT :target, origin, seq, at, events FROM joined WHERE run = :source;
