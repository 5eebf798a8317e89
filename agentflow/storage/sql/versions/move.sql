-- A run that was set aside may be served under its new version; if not, it is set aside again.
UPDATE runs
SET version = :version, unserved = 0, note = CASE WHEN unserved = 1 THEN NULL ELSE note END
WHERE key = :run AND finished_at IS NULL
RETURNING *;
