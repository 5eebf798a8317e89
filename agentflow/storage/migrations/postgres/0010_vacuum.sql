-- What is dead is a matter of how busy the workers are, not of how many runs wait: with a share of the table as threshold (the default), a
-- hundred thousand waiting runs let twenty thousand dead entries lie in front of every claim.
ALTER TABLE runs SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE waitpoints SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
