INSERT INTO run_tags (tag, run) SELECT json_array_elements_text(CAST(:tags AS json)), CAST(:run AS BIGINT) ON CONFLICT DO NOTHING;
