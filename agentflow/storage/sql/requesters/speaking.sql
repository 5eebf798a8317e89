-- Who has spoken in the thread of a run, and in those that it was forked from.
WITH RECURSIVE line (id, source) AS (
  SELECT threads.id, threads.source FROM runs JOIN threads ON threads.id = runs.thread WHERE runs.key = :run
  UNION
  SELECT threads.id, threads.source FROM line JOIN threads ON threads.id = line.source
)
SELECT DISTINCT speakers.name FROM line JOIN speakers ON speakers.thread = line.id ORDER BY speakers.name;
