-- Of a run that is deleted what was counted stays, and nothing of what it was told.
UPDATE generations SET variables = NULL
WHERE id IN (
  SELECT id FROM generations
  WHERE run = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:runs AS json)) AS BIGINT))) AND variables IS NOT NULL LIMIT :limit
)
RETURNING run;
