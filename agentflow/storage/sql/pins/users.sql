-- Who still needs a version: threads that hold it, and runs that do, as long as one of their family is under way.
WITH RECURSIVE family (scope, top, key) AS (
  SELECT scope, run, run FROM prompt_pins WHERE prompt = :prompt AND number = :number AND run IS NOT NULL
  UNION
  SELECT family.scope, family.top, runs.key FROM family JOIN runs ON runs.parent = family.key
)
SELECT scope, NULL AS id FROM prompt_pins WHERE prompt = :prompt AND number = :number AND run IS NULL
UNION
SELECT family.scope, runs.id FROM family JOIN runs ON runs.key = family.key WHERE runs.finished_at IS NULL
ORDER BY scope LIMIT :limit;
