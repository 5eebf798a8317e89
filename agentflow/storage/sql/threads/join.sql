UPDATE runs SET thread = :thread, turn = :turn WHERE key = :run;
