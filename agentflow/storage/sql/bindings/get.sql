SELECT * FROM prompt_bindings WHERE prompt = :prompt AND env = :env AND label = :label;
