SELECT * FROM prompt_policies ORDER BY prompt, env;
