-- PostgreSQL: as on SQLite, but a check is dropped without copying the table.
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

ALTER TABLE waitpoints DROP CONSTRAINT waitpoints_kind_check;
