INSERT INTO prompt_requests (id, prompt, env, label, run, waitpoint, target, rev, policy, actor, reason, state, at)
VALUES (:id, :prompt, :env, :label, :run, :waitpoint, :target, :rev, :policy, :actor, :reason, 'asked', :now);
