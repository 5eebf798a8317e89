-- A queue has a row only while it is limited or paused: then runs are taken from it one claimer at a time.
-- Limits of starts are `<starts>` in a window of `<period>` microseconds; NULL is no limit. `turn` is the lane that had its turn last.
CREATE TABLE queues (
  name TEXT PRIMARY KEY,
  concurrency BIGINT,
  key_concurrency BIGINT,
  rate BIGINT,
  rate_period BIGINT,
  key_rate BIGINT,
  key_rate_period BIGINT,
  paused_at BIGINT,
  paused_by TEXT,
  turn TEXT
);

-- What was started of late, in slices of time; `scope` is the queue as a whole (`queue`) or one key of it (`key:<key>`).
CREATE TABLE starts (
  queue TEXT NOT NULL,
  scope TEXT NOT NULL,
  slice BIGINT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (queue, scope, slice)
);
CREATE INDEX starts_old ON starts (slice);

-- `watched`: somebody waits for the end of the run. `unserved`: no live worker has the code of a queued run.
ALTER TABLE runs ADD COLUMN watched BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN unserved BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN weight BIGINT NOT NULL DEFAULT 1;
ALTER TABLE runs ADD COLUMN dedupe_key TEXT;
ALTER TABLE runs ADD COLUMN debounce_key TEXT;
ALTER TABLE runs ADD COLUMN debounce_until BIGINT;
UPDATE runs SET watched = 1 WHERE id IN (SELECT target FROM waitpoints WHERE state = 'pending' AND target IS NOT NULL);

ALTER TABLE tasks ADD COLUMN version TEXT;

-- A lane is a queue and a concurrency key: claims go from lane to lane.
DROP INDEX runs_queued;
CREATE INDEX runs_queued ON runs (queue, COALESCE(concurrency_key, ''), position, key) WHERE state = 'queued' AND unserved = 0;
CREATE INDEX runs_unserved ON runs (queue) WHERE state = 'queued' AND unserved = 1;
CREATE INDEX runs_running ON runs (queue, COALESCE(concurrency_key, '')) WHERE state = 'running';
CREATE UNIQUE INDEX runs_dedupe ON runs (task, dedupe_key) WHERE dedupe_key IS NOT NULL AND finished_at IS NULL;
CREATE UNIQUE INDEX runs_debounce ON runs (task, debounce_key) WHERE debounce_key IS NOT NULL AND state = 'scheduled' AND epoch = 0;
-- Few runs have a version, and fewer of them are active: these are the ones that operators move.
CREATE INDEX runs_versions ON runs (task, version) WHERE version IS NOT NULL AND finished_at IS NULL;
