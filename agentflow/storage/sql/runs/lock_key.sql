SELECT * FROM runs WHERE key = :key;
