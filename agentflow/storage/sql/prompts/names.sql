SELECT name FROM prompts ORDER BY name;
