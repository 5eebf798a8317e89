SELECT * FROM prompts ORDER BY name;
