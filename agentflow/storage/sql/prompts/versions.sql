SELECT * FROM prompt_versions WHERE prompt = :prompt ORDER BY number DESC;
