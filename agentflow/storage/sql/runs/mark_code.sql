UPDATE runs SET code = :code WHERE key = :run AND epoch = :epoch AND state = 'running' RETURNING key;
