-- In whose name a message was sent: a person, or a run, which sends in the name of whoever asked for that.
ALTER TABLE inputs ADD COLUMN sent_by TEXT;

-- In whose name something was said in a thread: all that its log tells runs.
CREATE TABLE speakers (
  thread TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (thread, name)
);
INSERT INTO speakers (thread, name)
SELECT DISTINCT thread, started_by FROM runs WHERE thread IS NOT NULL AND started_by IS NOT NULL AND state = 'completed';

-- The open questions of each family: the runs of one thread, or of one start, and what these start. `same` is that of equal ones. `held`
-- says why people are not told of one: an equal one is open (same), or as many are as they are asked at once (full). A question that was
-- asked before this table was there has no row.
CREATE TABLE asking (
  waitpoint TEXT PRIMARY KEY,
  run BIGINT NOT NULL,
  family TEXT NOT NULL,
  same TEXT,
  held TEXT CHECK (held IN ('same', 'full')),
  created_at BIGINT NOT NULL
);
CREATE INDEX asking_family ON asking (family, created_at);
CREATE INDEX asking_same ON asking (family, same) WHERE same IS NOT NULL;
CREATE INDEX asking_shown ON asking (family) WHERE held IS NULL;

-- Whoever adds to the questions of a family, or takes from them, holds its row.
CREATE TABLE families (
  id TEXT PRIMARY KEY
);
