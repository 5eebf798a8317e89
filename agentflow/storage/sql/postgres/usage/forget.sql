DELETE FROM usage
WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM usage WHERE scope = ANY (ARRAY(SELECT 'run:' || json_array_elements_text(CAST(:runs AS json)))) LIMIT :limit
))
RETURNING run;
