SELECT * FROM tasks WHERE name = :name;
