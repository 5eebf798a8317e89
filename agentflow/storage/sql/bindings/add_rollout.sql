INSERT INTO prompt_rollouts (id, prompt, env, label, weights, sticky, salt, terms, actor, created_at)
VALUES (:id, :prompt, :env, :label, :weights, :sticky, :salt, :terms, :actor, :now);
