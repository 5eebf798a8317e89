INSERT INTO transcripts (run, seq, events) SELECT :target, seq, events FROM transcripts WHERE run = :source;
