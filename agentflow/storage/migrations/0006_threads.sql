-- A conversation of many runs. `turns` counts the runs that have taken a place in it, `messages` what its log holds; `agent` is the task of
-- the run that came last.
CREATE TABLE threads (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  agent TEXT NOT NULL,
  turns BIGINT NOT NULL DEFAULT 0,
  messages BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  touched_at BIGINT NOT NULL
);
CREATE INDEX threads_touched ON threads (touched_at, key);

-- What was said in a conversation, in order. A message outlives the run that said it.
CREATE TABLE messages (
  thread BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  run_id TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX messages_thread_seq ON messages (thread, seq);
CREATE INDEX messages_large ON messages (body) WHERE body >= '@' AND body < 'A';

-- The thread that a run is of, and its place in the line there; a delayed run takes its place when it begins.
ALTER TABLE runs ADD COLUMN thread TEXT;
ALTER TABLE runs ADD COLUMN turn BIGINT;
CREATE INDEX runs_turns ON runs (thread, turn) WHERE turn IS NOT NULL AND finished_at IS NULL;
