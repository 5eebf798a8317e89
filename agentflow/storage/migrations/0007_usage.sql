-- What model calls used: a row for everything that a call counts for, which is `scope`: its run and every run above it (`run:<key>`), and
-- the thread, the concurrency key and the tags of each (`thread:<id>`, `key:<key>`, `tag:<tag>`). Nobody keeps a sum. `seq` is the record
-- that told; what is NULL is not known; `cost` is nano-USD; `calls` is 0 for the rest of a call that was counted before. Keys and tags have
-- no end: their rows go at `expires_at`.
CREATE TABLE usage (
  scope TEXT NOT NULL,
  run BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  provider TEXT,
  model TEXT,
  input BIGINT,
  output BIGINT,
  cached BIGINT,
  reasoning BIGINT,
  cost BIGINT,
  calls BIGINT NOT NULL,
  expires_at BIGINT
);
CREATE INDEX usage_scope ON usage (scope, at);
CREATE INDEX usage_expiring ON usage (expires_at) WHERE expires_at IS NOT NULL;

-- The budgets that hold for a run and for all below it.
CREATE TABLE budgets (
  run BIGINT NOT NULL,
  id TEXT NOT NULL,
  terms TEXT NOT NULL,
  PRIMARY KEY (run, id)
);

-- What people said of a budget: the waitpoint that asks them now, and what they granted beyond it, as JSON. Whoever decides about a budget
-- locks its row. `run` is the run that it ends with, if it is a run's own.
CREATE TABLE grants (
  budget TEXT PRIMARY KEY,
  run BIGINT,
  amount TEXT NOT NULL DEFAULT '{}',
  question TEXT,
  denied BIGINT NOT NULL DEFAULT 0,
  decided_at BIGINT
);
CREATE INDEX grants_run ON grants (run) WHERE run IS NOT NULL;

-- The model calls that were let go and are not recorded yet. They count while their run is leased in that epoch.
CREATE TABLE calls (
  budget TEXT NOT NULL,
  run BIGINT NOT NULL,
  step TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  PRIMARY KEY (budget, run, step)
);
CREATE INDEX calls_run ON calls (run, step);
