INSERT INTO usage (scope, run, seq, at, provider, model, input, output, cached, reasoning, cost, calls, expires_at)
SELECT value, :run, :seq, :at, :provider, :model, :input, :output, :cached, :reasoning, :cost, :calls,
  CASE WHEN value LIKE 'run:%' OR value LIKE 'thread:%' THEN NULL ELSE :expires_at END
FROM json_each(:scopes);
