-- As each, of one version.
SELECT generations.*, CASE WHEN runs.task <> '' THEN runs.id END AS run_id
FROM generations LEFT JOIN runs ON runs.key = generations.run
WHERE generations.prompt = :prompt AND generations.number = :number AND generations.at > :since
  AND (CAST(:variant AS TEXT) IS NULL OR generations.variant = :variant)
  AND (CAST(:after AS TEXT) IS NULL OR (generations.at, generations.run, generations.seq, generations.id) < (
    SELECT at, run, seq, id FROM generations WHERE id = CAST(:after AS TEXT)
  ))
ORDER BY generations.at DESC, generations.run DESC, generations.seq DESC, generations.id DESC LIMIT :limit;
