DELETE FROM run_tags
WHERE (tag, run) IN (
  SELECT json_array_elements_text(CAST(tags AS json)), key FROM runs
  WHERE key = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:runs AS json)) AS BIGINT))) AND tags <> '[]'
);
