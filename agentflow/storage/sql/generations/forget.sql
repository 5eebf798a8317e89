-- Of a run that is deleted what was counted stays, and nothing of what it was told.
UPDATE generations SET variables = NULL
WHERE id IN (
  SELECT generations.id FROM json_each(:runs) AS one CROSS JOIN generations ON generations.run = one.value
  WHERE generations.variables IS NOT NULL LIMIT :limit
)
RETURNING run;
