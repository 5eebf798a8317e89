UPDATE prompts SET events = events + 1 WHERE name = :name;
