-- Where a new stretch of a thread's log begins: message `first`, and those behind it, follow message `follows` and not the one before. What
-- was said in between was answered anew, and stays.
CREATE TABLE stretches (
  thread BIGINT NOT NULL,
  first BIGINT NOT NULL,
  follows BIGINT NOT NULL,
  PRIMARY KEY (thread, first)
);

-- What a model wrote to stand for all that leads to message `upto`, with that message. The messages stay.
CREATE TABLE summaries (
  thread BIGINT NOT NULL,
  upto BIGINT NOT NULL,
  run_id TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (thread, upto)
);

-- A fork's messages up to and with number `base` are those of thread `source` that lead to that number there: nothing is copied.
ALTER TABLE threads ADD COLUMN source TEXT;
ALTER TABLE threads ADD COLUMN base BIGINT NOT NULL DEFAULT 0;

-- The message of its thread that a run's own messages follow; NULL for the last one.
ALTER TABLE runs ADD COLUMN follows BIGINT;
