-- What has to be before a prompt (`*`: any that has none of its own) is moved in an environment: `people` who agree, `who` they may be and who
-- is told, as JSON, and `gate`, the task that evaluates the version. Each change is another `id`. They are asked for `lasts` microseconds.
CREATE TABLE prompt_policies (
  prompt TEXT NOT NULL,
  env TEXT NOT NULL,
  id TEXT NOT NULL,
  people BIGINT NOT NULL,
  who TEXT NOT NULL,
  gate TEXT,
  lasts BIGINT,
  actor TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (prompt, env)
);

-- A move that was asked for under a policy. `state` is asked, released, denied or conflict; `rev` that of the binding when it was asked for;
-- `run` asks, under `waitpoint` where people do; `target` is what shall hold, `outcome` why it ended so, both JSON.
CREATE TABLE prompt_requests (
  id TEXT PRIMARY KEY,
  prompt TEXT NOT NULL,
  env TEXT NOT NULL,
  label TEXT NOT NULL,
  run TEXT NOT NULL,
  waitpoint TEXT,
  target TEXT NOT NULL,
  rev BIGINT NOT NULL,
  policy TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  state TEXT NOT NULL,
  outcome TEXT,
  at BIGINT NOT NULL,
  ended_at BIGINT
);
CREATE INDEX prompt_requests_prompt ON prompt_requests (prompt, id);

-- How a rollout is made beside its weights, as JSON: baseline, conditions, ramp and guard.
ALTER TABLE prompt_rollouts ADD COLUMN terms TEXT;

-- What the versions of a rollout did, for its guards.
CREATE INDEX generations_rollout ON generations (rollout, number, at) WHERE rollout IS NOT NULL;
