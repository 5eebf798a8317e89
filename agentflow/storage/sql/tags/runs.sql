SELECT runs.id, runs.idempotency_key FROM run_tags JOIN runs ON runs.key = run_tags.run WHERE run_tags.tag = :tag ORDER BY runs.key;
