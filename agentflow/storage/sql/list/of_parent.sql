SELECT key FROM runs WHERE parent = (SELECT key FROM runs WHERE id = :parent) AND key < :before ORDER BY key DESC LIMIT :look;
