UPDATE chores SET position = :position WHERE name = :name;
