-- Who has started a run and where it comes from: its parent, whose messages it has received, people and runs, and whose run it repeats.
SELECT 1 AS started, runs.started_by AS name, runs.parent AS run FROM runs WHERE runs.key = :run
UNION
SELECT 0, CASE WHEN sender.id IS NULL THEN inputs.sent_by END, sender.key
FROM inputs LEFT JOIN runs AS sender ON sender.id = inputs.sent_by
WHERE inputs.run = :run AND inputs.entry IS NOT NULL AND inputs.sent_by IS NOT NULL
UNION
SELECT started, name, NULL FROM requesters WHERE requesters.run = :run;
