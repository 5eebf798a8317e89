-- What runs tell the readers of others: items for the stream of a run above them, and questions that hold up the runs above them.
CREATE TABLE joined (
  run BIGINT NOT NULL,
  origin BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  events TEXT NOT NULL,
  PRIMARY KEY (run, origin, seq)
);

CREATE TABLE shown (
  waitpoint TEXT NOT NULL,
  run BIGINT NOT NULL,
  call TEXT,
  PRIMARY KEY (waitpoint, run)
);
CREATE INDEX shown_run ON shown (run);
