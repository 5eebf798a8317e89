SELECT * FROM prompt_bindings WHERE env = :env ORDER BY prompt, label;
