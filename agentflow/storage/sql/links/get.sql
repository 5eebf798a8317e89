SELECT * FROM links WHERE id = :id;
