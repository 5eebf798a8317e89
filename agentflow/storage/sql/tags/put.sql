INSERT INTO run_tags (tag, run) SELECT value, :run FROM json_each(:tags) WHERE TRUE ON CONFLICT DO NOTHING;
