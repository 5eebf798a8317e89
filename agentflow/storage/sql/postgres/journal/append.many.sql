-- As append, for many entries at once. Runs are locked children first.
WITH given AS (
  SELECT * FROM UNNEST(
    CAST(:run AS BIGINT[]), CAST(:seq AS BIGINT[]), CAST(:kind AS TEXT[]), CAST(:step AS TEXT[]), CAST(:value AS TEXT[]), CAST(:digest AS TEXT[]),
    CAST(:code AS TEXT[]), CAST(:attempt AS BIGINT[]), CAST(:tries AS BIGINT[]), CAST(:epoch AS BIGINT[]), CAST(:started_at AS BIGINT[]), CAST(:ended_at AS BIGINT[])
  ) WITH ORDINALITY AS one (run, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at, at)
),
held AS (
  SELECT key, epoch FROM runs WHERE key IN (SELECT run FROM given) AND state = 'running' ORDER BY key DESC FOR SHARE
),
written AS (
  INSERT INTO journal (run, seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at)
  SELECT given.run, given.seq, given.kind, given.step, given.value, given.digest, given.code, given.attempt, given.tries, given.epoch, given.started_at, given.ended_at
  FROM given JOIN held ON held.key = given.run AND held.epoch = given.epoch
  RETURNING run, seq
)
SELECT given.at, written.seq FROM written JOIN given ON given.run = written.run AND given.seq = written.seq;
