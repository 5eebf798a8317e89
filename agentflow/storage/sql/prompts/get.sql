SELECT * FROM prompts WHERE name = :name;
