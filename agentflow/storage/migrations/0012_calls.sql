-- What a call under way uses at most, NULL where that is not known (`cost` is nano-USD); `kept` is one that its provider goes on with: it
-- counts in any epoch, until its run is gone.
ALTER TABLE calls ADD COLUMN tokens BIGINT;
ALTER TABLE calls ADD COLUMN cost BIGINT;
ALTER TABLE calls ADD COLUMN kept BIGINT NOT NULL DEFAULT 0;

-- For which question about a thread's budget a run waited last. After a no `denied_at` is when that was taken in, `amount` what had been
-- granted by then: for that run nothing more ever is.
CREATE TABLE askers (
  budget TEXT NOT NULL,
  run BIGINT NOT NULL,
  question TEXT NOT NULL,
  denied_at BIGINT,
  amount TEXT,
  PRIMARY KEY (budget, run)
);
CREATE INDEX askers_run ON askers (run);
