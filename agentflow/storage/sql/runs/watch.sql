-- Somebody waits for the end of this run from now on; whoever ends it has to look.
UPDATE runs SET watched = 1 WHERE key = :run AND watched = 0;
