-- Links that let one person decide about one question in a browser. Of the secret only a hash; `member_of` are the groups that they are known
-- to be in, as JSON, NULL where whoever made the link vouches for them; `choices` is what they may say, as JSON.
CREATE TABLE links (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL,
  waitpoint TEXT NOT NULL,
  run BIGINT NOT NULL,
  actor TEXT NOT NULL,
  member_of TEXT,
  choices TEXT NOT NULL,
  made_by TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX links_waitpoint ON links (waitpoint);
CREATE INDEX links_run ON links (run);

-- Wrong secrets for what has one, a callback or a link, since when, and until when it is locked for that.
CREATE TABLE tries (
  name TEXT PRIMARY KEY,
  wrong BIGINT NOT NULL,
  since BIGINT NOT NULL,
  locked_until BIGINT NOT NULL
);
CREATE INDEX tries_old ON tries (since);

-- Who did what about a question, written with it and never changed. Afterwards it is sealed: it gets its `place` in the chain, numbered from 1
-- without gaps, and a `hash` over all of it and the hash of the place before. `detail` is JSON.
CREATE TABLE audit (
  key INTEGER PRIMARY KEY,
  place BIGINT,
  type TEXT NOT NULL,
  waitpoint TEXT,
  run_id TEXT,
  actor TEXT NOT NULL,
  via TEXT NOT NULL,
  detail TEXT NOT NULL,
  at BIGINT NOT NULL,
  hash TEXT
);
CREATE UNIQUE INDEX audit_place ON audit (place) WHERE place IS NOT NULL;
CREATE INDEX audit_type ON audit (type, place) WHERE place IS NOT NULL;
CREATE INDEX audit_open ON audit (key) WHERE place IS NULL;

-- The end of the chain: whoever seals holds this row.
CREATE TABLE audit_head (
  name TEXT PRIMARY KEY,
  place BIGINT NOT NULL,
  hash TEXT NOT NULL
);
INSERT INTO audit_head (name, place, hash) VALUES ('audit', 0, '0000000000000000000000000000000000000000000000000000000000000000');
