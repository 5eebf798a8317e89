SELECT id FROM runs
WHERE parent = :run AND on_parent_cancel = 'cancel' AND cancel_reason IS NULL
  AND state NOT IN ('completed', 'failed', 'cancelled', 'expired')
ORDER BY key;
