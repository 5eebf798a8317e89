UPDATE runs SET metadata = :metadata WHERE key = :run AND epoch = :epoch AND state = 'running' RETURNING key;
