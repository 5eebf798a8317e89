UPDATE chores SET owner = NULL, until = :until, done_at = :now WHERE name = :name AND owner = :owner;
