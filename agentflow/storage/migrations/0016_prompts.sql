-- A prompt by its name. `contract` is the JSON schema of its variables as the newest code has it, `trusting` whether that lets text from
-- outside stand in system messages; `versions` and `events` count: whoever changes anything of a prompt locks this row by counting on.
CREATE TABLE prompts (
  name TEXT PRIMARY KEY,
  description TEXT NOT NULL,
  contract TEXT NOT NULL,
  trusting BIGINT NOT NULL DEFAULT 0,
  versions BIGINT NOT NULL DEFAULT 0,
  events BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL
);

-- The same as the code has it that is deployed in an environment.
CREATE TABLE prompt_contracts (
  prompt TEXT NOT NULL,
  env TEXT NOT NULL,
  contract TEXT NOT NULL,
  trusting BIGINT NOT NULL,
  PRIMARY KEY (prompt, env)
);

-- What a prompt says, numbered from 1 and never changed: only `revoked_at` and `revoke_policy` are set, once. `hash` is of the body.
CREATE TABLE prompt_versions (
  prompt TEXT NOT NULL,
  number BIGINT NOT NULL,
  hash TEXT NOT NULL,
  body TEXT NOT NULL,
  source TEXT NOT NULL,
  note TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT,
  revoke_policy TEXT,
  PRIMARY KEY (prompt, number)
);
CREATE UNIQUE INDEX prompt_versions_hash ON prompt_versions (prompt, hash);

-- What holds in an environment under a label: `mode` is code, pinned or rollout. `number` is the version that is live, `code` the one that the
-- code deployed there has. Every move counts `rev` on.
CREATE TABLE prompt_bindings (
  prompt TEXT NOT NULL,
  env TEXT NOT NULL,
  label TEXT NOT NULL,
  mode TEXT NOT NULL,
  number BIGINT,
  rollout TEXT,
  expires_at BIGINT,
  code BIGINT,
  protected BIGINT NOT NULL DEFAULT 0,
  rev BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (prompt, env, label)
);

-- Several versions at once, never changed: other weights are another row. `weights` is JSON, version to weight.
CREATE TABLE prompt_rollouts (
  id TEXT PRIMARY KEY,
  prompt TEXT NOT NULL,
  env TEXT NOT NULL,
  label TEXT NOT NULL,
  weights TEXT NOT NULL,
  sticky TEXT NOT NULL,
  salt TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

-- What happened to a prompt, in order and never changed. `before` and `after` are bindings as JSON.
CREATE TABLE prompt_events (
  prompt TEXT NOT NULL,
  seq BIGINT NOT NULL,
  env TEXT,
  label TEXT,
  type TEXT NOT NULL,
  before TEXT,
  after TEXT,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (prompt, seq)
);

-- Which version a run (`run:<key>`) or a thread (`thread:<id>`) holds. That of the run at the top of a family is everybody's below it.
CREATE TABLE prompt_pins (
  scope TEXT NOT NULL,
  prompt TEXT NOT NULL,
  label TEXT NOT NULL,
  number BIGINT NOT NULL,
  hash TEXT NOT NULL,
  variant TEXT,
  rollout TEXT,
  run BIGINT,
  moved_by TEXT,
  at BIGINT NOT NULL,
  PRIMARY KEY (scope, prompt, label)
);
CREATE INDEX prompt_pins_version ON prompt_pins (prompt, number);
CREATE INDEX prompt_pins_run ON prompt_pins (run) WHERE run IS NOT NULL;

-- The version of a prompt that a model call was made by, as `support@v3#9f2c1a`.
ALTER TABLE usage ADD COLUMN prompt TEXT;
CREATE INDEX usage_prompt ON usage (prompt, at) WHERE prompt IS NOT NULL;
