-- All but the newest row, as on SQLite, which would give its key to the next run.
DELETE FROM runs
WHERE key = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:runs AS json)) AS BIGINT))) AND key < (SELECT MAX(key) FROM runs)
RETURNING key;
