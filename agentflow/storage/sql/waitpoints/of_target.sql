SELECT id FROM waitpoints WHERE target = :target AND state = 'pending' ORDER BY run;
