SELECT seq, events FROM transcripts WHERE run = :run AND seq >= :since ORDER BY seq;
