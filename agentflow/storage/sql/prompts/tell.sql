INSERT INTO prompt_events (prompt, seq, env, label, type, before, after, actor, reason, at)
SELECT :prompt, events, :env, :label, :type, :before, :after, :actor, :reason, :now FROM prompts WHERE name = :prompt;
