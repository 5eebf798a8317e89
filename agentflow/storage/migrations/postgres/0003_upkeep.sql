-- PostgreSQL: as on SQLite, but a blob's pointer is known by its length, which is known without fetching a large value, and listing
-- goes by indexes that end with the key.
CREATE TABLE chores (
  name TEXT PRIMARY KEY,
  owner TEXT,
  until BIGINT NOT NULL,
  position BIGINT NOT NULL DEFAULT 0,
  retention BIGINT,
  done_at BIGINT
);

CREATE TABLE remains (
  run BIGINT PRIMARY KEY
);

CREATE TABLE run_tags (
  tag TEXT NOT NULL,
  run BIGINT NOT NULL,
  PRIMARY KEY (tag, run)
);
INSERT INTO run_tags (tag, run)
SELECT DISTINCT one.tag, runs.key FROM runs CROSS JOIN LATERAL json_array_elements_text(CAST(runs.tags AS json)) AS one(tag) WHERE runs.tags <> '[]';

CREATE INDEX runs_task ON runs (task, key);
CREATE INDEX runs_aside ON runs (state, key, queue) WHERE state <> 'completed' AND state <> 'running' AND state <> 'queued';
DROP INDEX runs_children;
CREATE INDEX runs_children ON runs (parent, key) WHERE parent IS NOT NULL;

DROP INDEX waitpoints_open;
CREATE INDEX waitpoints_open ON waitpoints (kind, created_at) WHERE state = 'pending';
CREATE INDEX waitpoints_free ON waitpoints (ended_at) WHERE run IS NULL AND ended_at IS NOT NULL;

CREATE INDEX runs_large_input ON runs (input) WHERE OCTET_LENGTH(input) = 65;
CREATE INDEX runs_large_output ON runs (output) WHERE OCTET_LENGTH(output) = 65;
CREATE INDEX journal_large ON journal (value) WHERE OCTET_LENGTH(value) = 65;
CREATE INDEX waitpoints_large ON waitpoints (answer) WHERE OCTET_LENGTH(answer) = 65;
CREATE INDEX blobs_old ON blobs (created_at, hash);
