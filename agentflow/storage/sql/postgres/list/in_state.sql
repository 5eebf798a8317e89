SELECT key FROM runs
WHERE (state, key) < (CAST(:state AS TEXT), CAST(:before AS BIGINT)) AND state >= CAST(:state AS TEXT)
  AND state <> 'completed' AND state <> 'running' AND state <> 'queued'
ORDER BY state DESC, key DESC LIMIT :look;
