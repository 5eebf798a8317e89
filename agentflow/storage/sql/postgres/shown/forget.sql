DELETE FROM shown
WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM shown WHERE run = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:runs AS json)) AS BIGINT))) LIMIT :limit
))
RETURNING run;
