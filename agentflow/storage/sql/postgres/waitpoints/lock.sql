SELECT * FROM waitpoints WHERE id = :id FOR NO KEY UPDATE;
