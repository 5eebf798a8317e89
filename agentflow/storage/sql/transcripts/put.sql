INSERT INTO transcripts (run, seq, events) VALUES (:run, :seq, :events);
