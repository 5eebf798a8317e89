-- Who started a run: the subject of a token, or whom an API key vouches for. A child has that of its parent; NULL where nobody said.
ALTER TABLE runs ADD COLUMN started_by TEXT;

-- Standing yeses of people to calls of a tool. `scope_id` is the run, thread or agent, empty for `all`; `fits` says which calls, as JSON.
CREATE TABLE approval_grants (
  id TEXT PRIMARY KEY,
  scope TEXT NOT NULL CHECK (scope IN ('run', 'thread', 'agent', 'all')),
  scope_id TEXT NOT NULL,
  tool TEXT NOT NULL,
  fits TEXT NOT NULL,
  granted_by TEXT NOT NULL,
  waitpoint TEXT,
  reason TEXT,
  max_uses BIGINT,
  uses BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  revoked_by TEXT
);
CREATE INDEX approval_grants_tool ON approval_grants (tool, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX approval_grants_expiring ON approval_grants (expires_at);
CREATE INDEX approval_grants_waitpoint ON approval_grants (waitpoint) WHERE waitpoint IS NOT NULL;
