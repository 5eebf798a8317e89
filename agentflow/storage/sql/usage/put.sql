INSERT INTO usage (scope, run, seq, at, provider, model, input, output, cached, reasoning, cost, calls, prompt, expires_at)
SELECT value, :run, :seq, :at, :provider, :model, :input, :output, :cached, :reasoning, :cost, :calls, :prompt,
  CASE WHEN value LIKE 'run:%' OR value LIKE 'thread:%' THEN NULL ELSE :expires_at END
FROM json_each(:scopes);
