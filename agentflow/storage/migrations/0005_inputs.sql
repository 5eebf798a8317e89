-- What others send into runs: a stream per run and name, numbered from 1. `data` is JSON, and NULL once the run has received it: then it
-- is in the run's journal, as `entry`. `digest` is that of the data, for whoever sends it again under its key.
CREATE TABLE inputs (
  run BIGINT NOT NULL,
  name TEXT NOT NULL,
  seq BIGINT NOT NULL,
  data TEXT,
  entry BIGINT,
  idempotency_key TEXT,
  digest TEXT NOT NULL,
  sent_at BIGINT NOT NULL,
  PRIMARY KEY (run, name, seq)
);
CREATE INDEX inputs_kept ON inputs (run, name, seq) WHERE data IS NOT NULL;
CREATE UNIQUE INDEX inputs_keys ON inputs (run, name, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- The kinds of waitpoints are the code's: a check of them would mean to copy the table whenever there is another one, as here.
CREATE TABLE waitpoints_unchecked (
  id TEXT PRIMARY KEY,
  run BIGINT,
  run_id TEXT,
  step TEXT,
  kind TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'answered', 'failed', 'timed_out', 'cancelled')),
  target TEXT,
  subject TEXT NOT NULL DEFAULT '{}',
  schema TEXT,
  answer TEXT,
  answered_by TEXT,
  due_at BIGINT,
  attempt BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  ended_at BIGINT,
  wake BIGINT NOT NULL DEFAULT 0,
  CHECK ((ended_at IS NULL) = (state = 'pending'))
);
INSERT INTO waitpoints_unchecked (
  id, run, run_id, step, kind, state, target, subject, schema, answer, answered_by, due_at, attempt, created_at, ended_at, wake
)
SELECT id, run, run_id, step, kind, state, target, subject, schema, answer, answered_by, due_at, attempt, created_at, ended_at, wake
FROM waitpoints ORDER BY rowid;
DROP TABLE waitpoints;
ALTER TABLE waitpoints_unchecked RENAME TO waitpoints;
CREATE UNIQUE INDEX waitpoints_step ON waitpoints (run, step, attempt) WHERE run IS NOT NULL;
CREATE INDEX waitpoints_ended ON waitpoints (run, wake) WHERE run IS NOT NULL;
CREATE INDEX waitpoints_due ON waitpoints (due_at) WHERE state = 'pending' AND due_at IS NOT NULL;
CREATE INDEX waitpoints_target ON waitpoints (target) WHERE state = 'pending' AND target IS NOT NULL;
CREATE INDEX waitpoints_open ON waitpoints (kind, created_at) WHERE state = 'pending';
CREATE INDEX waitpoints_free ON waitpoints (ended_at) WHERE run IS NULL AND ended_at IS NOT NULL;
CREATE INDEX waitpoints_large ON waitpoints (answer) WHERE answer >= '@' AND answer < 'A';
