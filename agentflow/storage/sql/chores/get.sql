SELECT * FROM chores WHERE name = :name;
