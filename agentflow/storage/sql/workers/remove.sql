DELETE FROM workers WHERE id = :id AND NOT EXISTS (SELECT 1 FROM runs WHERE worker = :id);
