SELECT * FROM prompt_versions WHERE prompt = :prompt AND number = :number FOR UPDATE;
