UPDATE prompts SET versions = versions + 1 WHERE name = :name RETURNING versions;
