SELECT * FROM prompt_events WHERE prompt = :prompt AND type = :type ORDER BY seq DESC;
