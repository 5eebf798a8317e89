SELECT * FROM prompt_bindings WHERE mode = 'rollout' ORDER BY prompt, env, label;
