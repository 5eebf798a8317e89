-- Times are BIGINT microseconds since 1970, public ids are UUIDv7 behind a prefix, JSON is TEXT.
-- A stored value is JSON, or `@` and the hash of a blob: JSON never starts with `@`.
CREATE TABLE runs (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  task TEXT NOT NULL,
  queue TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('scheduled', 'queued', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled', 'expired')),
  epoch BIGINT NOT NULL DEFAULT 0,
  attempt BIGINT NOT NULL DEFAULT 1,
  recoveries BIGINT NOT NULL DEFAULT 0,
  worker TEXT,
  position BIGINT NOT NULL,
  ready_at BIGINT,
  expires_at BIGINT,
  input TEXT NOT NULL,
  output TEXT,
  error TEXT,
  parent BIGINT,
  parent_id TEXT,
  on_parent_cancel TEXT NOT NULL DEFAULT 'cancel' CHECK (on_parent_cancel IN ('cancel', 'leave')),
  tags TEXT NOT NULL DEFAULT '[]',
  metadata TEXT NOT NULL DEFAULT '{}',
  idempotency_key TEXT,
  concurrency_key TEXT,
  priority BIGINT NOT NULL DEFAULT 0,
  version TEXT,
  code TEXT,
  cancel_reason TEXT,
  cancel_by BIGINT,
  cancel_children BIGINT NOT NULL DEFAULT 0,
  wakes BIGINT NOT NULL DEFAULT 0,
  active BIGINT NOT NULL DEFAULT 0,
  leased_at BIGINT,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  note TEXT,
  hooks TEXT NOT NULL DEFAULT 'none' CHECK (hooks IN ('none', 'wanted', 'due', 'called')),
  hooks_at BIGINT,
  CHECK ((state = 'running') = (worker IS NOT NULL)),
  CHECK ((finished_at IS NOT NULL) = (state IN ('completed', 'failed', 'cancelled', 'expired')))
);
CREATE INDEX runs_queued ON runs (position) WHERE state = 'queued';
CREATE INDEX runs_scheduled ON runs (ready_at) WHERE state = 'scheduled';
CREATE INDEX runs_expiring ON runs (expires_at) WHERE expires_at IS NOT NULL AND epoch = 0;
CREATE INDEX runs_leased ON runs (worker) WHERE worker IS NOT NULL;
CREATE INDEX runs_cancelling ON runs (cancel_by) WHERE cancel_by IS NOT NULL;
CREATE INDEX runs_cancelling_children ON runs (key) WHERE cancel_children = 1;
CREATE INDEX runs_children ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_hooks ON runs (hooks_at) WHERE hooks = 'due';

CREATE TABLE journal (
  run BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('result', 'error', 'try', 'value', 'reset')),
  step TEXT NOT NULL,
  value TEXT,
  digest TEXT,
  code TEXT,
  attempt BIGINT NOT NULL,
  tries BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX journal_run_seq ON journal (run, seq);

CREATE TABLE waitpoints (
  id TEXT PRIMARY KEY,
  run BIGINT,
  run_id TEXT,
  step TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('timer', 'child', 'approval', 'callback', 'token')),
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
CREATE UNIQUE INDEX waitpoints_step ON waitpoints (run, step, attempt) WHERE run IS NOT NULL;
CREATE INDEX waitpoints_ended ON waitpoints (run, wake) WHERE run IS NOT NULL;
CREATE INDEX waitpoints_due ON waitpoints (due_at) WHERE state = 'pending' AND due_at IS NOT NULL;
CREATE INDEX waitpoints_target ON waitpoints (target) WHERE state = 'pending' AND target IS NOT NULL;
CREATE INDEX waitpoints_open ON waitpoints (created_at) WHERE state = 'pending';

CREATE TABLE idempotency (
  key TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  digest TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX idempotency_expiring ON idempotency (expires_at);

CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  pid BIGINT NOT NULL,
  slots BIGINT NOT NULL,
  queues TEXT NOT NULL,
  tasks TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('live', 'draining')),
  started_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  claimed_at BIGINT NOT NULL
);
CREATE INDEX workers_expiring ON workers (expires_at);

CREATE TABLE tasks (
  name TEXT PRIMARY KEY,
  queue TEXT NOT NULL,
  description TEXT NOT NULL,
  schema TEXT NOT NULL,
  kind TEXT NOT NULL,
  hooked BIGINT NOT NULL DEFAULT 0,
  seen_at BIGINT NOT NULL
);

CREATE TABLE blobs (
  hash TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
