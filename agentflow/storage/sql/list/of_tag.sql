SELECT run AS key FROM run_tags WHERE tag = :tag AND run < :before ORDER BY run DESC LIMIT :look;
