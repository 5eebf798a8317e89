INSERT INTO prompt_contracts (prompt, env, contract, trusting) VALUES (:prompt, :env, :contract, :trusting)
ON CONFLICT (prompt, env) DO UPDATE SET contract = excluded.contract, trusting = excluded.trusting;
