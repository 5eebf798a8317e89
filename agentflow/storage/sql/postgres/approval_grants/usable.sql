-- The grants that may stand for people about a call. Who uses one has it locked, so no two uses are counted as one.
SELECT * FROM approval_grants
WHERE tool = :tool AND revoked_at IS NULL AND expires_at > :now AND (max_uses IS NULL OR uses < max_uses) AND (
  scope = 'all' OR (scope = 'agent' AND scope_id = :agent) OR (scope = 'run' AND scope_id = :run_id) OR (scope = 'thread' AND scope_id = :thread)
)
ORDER BY id FOR UPDATE;
