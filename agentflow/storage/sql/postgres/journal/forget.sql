DELETE FROM journal
WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM journal WHERE run = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:runs AS json)) AS BIGINT))) LIMIT :limit
))
RETURNING run;
