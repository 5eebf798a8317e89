INSERT INTO usage (scope, run, seq, at, provider, model, input, output, cached, reasoning, cost, calls, expires_at)
SELECT value, CAST(:run AS BIGINT), CAST(:seq AS BIGINT), CAST(:at AS BIGINT), CAST(:provider AS TEXT), CAST(:model AS TEXT),
  CAST(:input AS BIGINT), CAST(:output AS BIGINT), CAST(:cached AS BIGINT), CAST(:reasoning AS BIGINT), CAST(:cost AS BIGINT), CAST(:calls AS BIGINT),
  CASE WHEN value LIKE 'run:%' OR value LIKE 'thread:%' THEN NULL ELSE CAST(:expires_at AS BIGINT) END
FROM json_array_elements_text(CAST(:scopes AS json)) AS one(value);
