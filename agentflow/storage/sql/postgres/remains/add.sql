INSERT INTO remains (run) SELECT CAST(json_array_elements_text(CAST(:runs AS json)) AS BIGINT) ON CONFLICT DO NOTHING;
