-- How long people have for a question, in microseconds: the time of one that they are not shown begins when they are.
ALTER TABLE asking ADD COLUMN span BIGINT;
UPDATE asking SET span = (SELECT due_at - created_at FROM waitpoints WHERE waitpoints.id = asking.waitpoint);
UPDATE waitpoints SET due_at = NULL
WHERE state = 'pending' AND id IN (
  SELECT waitpoint FROM asking WHERE held IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM asking AS shown WHERE shown.family = asking.family AND shown.same = asking.same AND shown.held IS NULL
  )
);

-- In whose name a run works from its beginning, besides whoever starts it: the requesters of the run that it repeats. `started` is 1 for
-- those who started that.
CREATE TABLE requesters (
  run BIGINT NOT NULL,
  name TEXT NOT NULL,
  started INTEGER NOT NULL,
  PRIMARY KEY (run, name)
);

-- Whoever follows what is live hears of every version that was taken back.
CREATE INDEX prompt_versions_revoked ON prompt_versions (prompt, number) WHERE revoked_at IS NOT NULL;
