SELECT * FROM threads WHERE id = :id;
