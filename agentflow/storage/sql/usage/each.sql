-- Each call that counts for a scope since a moment, in order.
SELECT at, seq, provider, model, input, output, cached, reasoning, cost, calls FROM usage
WHERE scope = :scope AND at > :since AND (CAST(:run AS BIGINT) IS NULL OR run = :run) ORDER BY at, seq;
