SELECT generations.*, CASE WHEN runs.task <> '' THEN runs.id END AS run_id
FROM generations LEFT JOIN runs ON runs.key = generations.run
WHERE generations.prompt = :prompt AND generations.id = :id;
