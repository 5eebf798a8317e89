-- Model calls by the version of a prompt that spoke, a row for each try. `number` is 0 where the registry does not know the version, `step` the
-- key and `seq` the record of the step. `at` is when it ended; `duration` and `first_token` are microseconds from when it began, the latter NULL
-- where nothing was streamed. `ended` is answered, failed or cancelled, `error` the name of what failed. Of what was used, NULL is not known;
-- `cost` is nano-USD. `variables` is JSON, or `@` and the hash of a blob; it goes with the run.
CREATE TABLE generations (
  id TEXT PRIMARY KEY,
  prompt TEXT NOT NULL,
  number BIGINT NOT NULL,
  hash TEXT NOT NULL,
  env TEXT NOT NULL,
  label TEXT,
  variant TEXT,
  rollout TEXT,
  run BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  step TEXT NOT NULL,
  at BIGINT NOT NULL,
  duration BIGINT NOT NULL,
  first_token BIGINT,
  provider TEXT,
  model TEXT,
  input BIGINT,
  output BIGINT,
  cached BIGINT,
  reasoning BIGINT,
  cost BIGINT,
  ended TEXT NOT NULL CHECK (ended IN ('answered', 'failed', 'cancelled')),
  error TEXT,
  rendered TEXT NOT NULL,
  variables TEXT
);
CREATE INDEX generations_version ON generations (prompt, number, at);
CREATE INDEX generations_prompt ON generations (prompt, at);
CREATE INDEX generations_at ON generations (at);
CREATE INDEX generations_run ON generations (run);
CREATE INDEX generations_large ON generations (variables) WHERE OCTET_LENGTH(variables) = 65;

DROP INDEX usage_prompt;
ALTER TABLE usage DROP COLUMN prompt;
