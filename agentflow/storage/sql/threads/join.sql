UPDATE runs SET thread = :thread, turn = :turn, follows = :follows WHERE key = :run;
