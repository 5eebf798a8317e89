SELECT state, started_at, leased_at, active FROM runs WHERE key = :run;
