SELECT state FROM workers WHERE id = :id;
