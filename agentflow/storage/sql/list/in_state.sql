SELECT key FROM runs
WHERE state = :state AND key < :before AND state <> 'completed' AND state <> 'running' AND state <> 'queued'
ORDER BY key DESC LIMIT :look;
