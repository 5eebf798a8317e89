UPDATE runs SET hooks = 'none', hooks_at = NULL WHERE key = :run AND hooks = 'due';
