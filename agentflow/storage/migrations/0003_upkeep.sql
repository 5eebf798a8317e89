-- A chore that one worker at a time does: nobody else takes it before `until`. `position` is how far it has come; `retention` is for how
-- long whoever did it last keeps finished runs, in microseconds, NULL for ever.
CREATE TABLE chores (
  name TEXT PRIMARY KEY,
  owner TEXT,
  until BIGINT NOT NULL,
  position BIGINT NOT NULL DEFAULT 0,
  retention BIGINT,
  done_at BIGINT
);

-- Runs that are deleted, of which journal or waitpoints are still to go.
CREATE TABLE remains (
  run INTEGER PRIMARY KEY
);

CREATE TABLE run_tags (
  tag TEXT NOT NULL,
  run BIGINT NOT NULL,
  PRIMARY KEY (tag, run)
) WITHOUT ROWID;
INSERT INTO run_tags (tag, run) SELECT DISTINCT value, runs.key FROM runs, json_each(runs.tags) WHERE runs.tags <> '[]';

-- Pages of runs, newest first. The states in `runs_aside` are those that not every run passes through.
CREATE INDEX runs_task ON runs (task);
CREATE INDEX runs_aside ON runs (state, key, queue) WHERE state <> 'completed' AND state <> 'running' AND state <> 'queued';

DROP INDEX waitpoints_open;
CREATE INDEX waitpoints_open ON waitpoints (kind, created_at) WHERE state = 'pending';
CREATE INDEX waitpoints_free ON waitpoints (ended_at) WHERE run IS NULL AND ended_at IS NOT NULL;

-- What points to a blob.
CREATE INDEX runs_large_input ON runs (input) WHERE input >= '@' AND input < 'A';
CREATE INDEX runs_large_output ON runs (output) WHERE output >= '@' AND output < 'A';
CREATE INDEX journal_large ON journal (value) WHERE value >= '@' AND value < 'A';
CREATE INDEX waitpoints_large ON waitpoints (answer) WHERE answer >= '@' AND answer < 'A';
CREATE INDEX blobs_old ON blobs (created_at, hash);
