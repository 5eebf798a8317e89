SELECT key, id, state, cancel_reason FROM runs WHERE cancel_children = 1 ORDER BY key LIMIT :limit;
