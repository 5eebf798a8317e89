INSERT INTO remains (run) SELECT value FROM json_each(:runs) WHERE TRUE ON CONFLICT DO NOTHING;
