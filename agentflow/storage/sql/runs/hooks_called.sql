UPDATE runs SET hooks = 'called', hooks_at = NULL WHERE key = :run AND hooks = 'due';
