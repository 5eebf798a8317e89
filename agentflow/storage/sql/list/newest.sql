SELECT key FROM runs WHERE key < :before ORDER BY key DESC LIMIT :look;
