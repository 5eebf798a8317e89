SELECT id FROM workers WHERE id = :id FOR UPDATE;
