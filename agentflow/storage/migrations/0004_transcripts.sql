-- What recorded steps said while they ran, as JSON: for readers whose stream is gone, and for what a lost worker could not say any more.
CREATE TABLE transcripts (
  run BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  events TEXT NOT NULL,
  PRIMARY KEY (run, seq)
);
