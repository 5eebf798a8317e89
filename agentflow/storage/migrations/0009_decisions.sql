-- What lets a machine answer a callback: of each secret that was given out only the hash. A replay of the run gives out another one, and all
-- count until the callback has ended. `signing` is the key of the signatures that were asked for.
CREATE TABLE callbacks (
  hash TEXT PRIMARY KEY,
  waitpoint TEXT NOT NULL,
  run BIGINT NOT NULL,
  signing TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX callbacks_waitpoint ON callbacks (waitpoint);
CREATE INDEX callbacks_run ON callbacks (run);

-- What people said to a waitpoint, numbered from 1, and never changed: also what did not count, and `why` it did not. `choice` is approve, deny,
-- answer, cancel, supersede or reassign; `body` is what was said, as JSON; `key` makes the same message the same vote.
CREATE TABLE votes (
  waitpoint TEXT NOT NULL,
  seq BIGINT NOT NULL,
  run BIGINT,
  actor TEXT NOT NULL,
  choice TEXT NOT NULL,
  body TEXT NOT NULL,
  key TEXT,
  counted BIGINT NOT NULL,
  why TEXT,
  at BIGINT NOT NULL,
  PRIMARY KEY (waitpoint, seq)
);
CREATE INDEX votes_run ON votes (run) WHERE run IS NOT NULL;
CREATE UNIQUE INDEX votes_key ON votes (waitpoint, key) WHERE key IS NOT NULL;
