-- Messages about waitpoints on their way to people and machines: one row for each event and address, numbered from 1 within the waitpoint, in
-- the order in which an address is told. Written in the transaction that changes the waitpoint, so what is said is what is true. `address` is
-- empty where those are told who may decide; such a row, and one of a group, is `spread` over rows that name a `person`. `holder` sends it now,
-- until `due_at`; `reference` is what the channel calls the message.
CREATE TABLE deliveries (
  waitpoint TEXT NOT NULL,
  seq BIGINT NOT NULL,
  run BIGINT,
  channel TEXT NOT NULL,
  address TEXT NOT NULL,
  person TEXT,
  event TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'spread', 'dropped', 'dead')),
  attempts BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NOT NULL,
  holder TEXT,
  reference TEXT,
  error TEXT,
  created_at BIGINT NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (waitpoint, seq)
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX deliveries_stuck ON deliveries (state, created_at) WHERE state IN ('pending', 'dead');
CREATE INDEX deliveries_run ON deliveries (run) WHERE run IS NOT NULL;

-- When people are reminded of a waitpoint, and others brought in (`target`, as `group:ops`): a rung is taken once, and gone then.
CREATE TABLE rungs (
  waitpoint TEXT NOT NULL,
  seq BIGINT NOT NULL,
  run BIGINT,
  due_at BIGINT NOT NULL,
  target TEXT,
  PRIMARY KEY (waitpoint, seq)
);
CREATE INDEX rungs_due ON rungs (due_at);
CREATE INDEX rungs_run ON rungs (run) WHERE run IS NOT NULL;
