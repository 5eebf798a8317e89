SELECT * FROM prompt_bindings WHERE prompt = :prompt ORDER BY env, label;
