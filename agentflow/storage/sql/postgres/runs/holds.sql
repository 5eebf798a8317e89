SELECT key FROM runs WHERE key = :run AND epoch = :epoch AND state = 'running' FOR SHARE;
