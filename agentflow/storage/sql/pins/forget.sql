DELETE FROM prompt_pins WHERE run IN (SELECT value FROM json_each(:runs));
