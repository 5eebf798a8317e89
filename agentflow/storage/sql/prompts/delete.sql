DELETE FROM prompt_versions WHERE prompt = :prompt AND number = :number RETURNING *;
