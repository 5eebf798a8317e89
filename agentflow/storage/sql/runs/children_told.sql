UPDATE runs SET cancel_children = 0 WHERE key = :run;
