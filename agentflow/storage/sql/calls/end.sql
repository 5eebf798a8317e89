-- Whoever holds the run ends its calls, also those that an earlier epoch began.
DELETE FROM calls WHERE run = :run AND step = :step AND EXISTS (SELECT 1 FROM runs WHERE key = :run AND epoch = :epoch);
