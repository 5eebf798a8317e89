SELECT key FROM runs WHERE task = :task AND key < :before ORDER BY key DESC LIMIT :look;
