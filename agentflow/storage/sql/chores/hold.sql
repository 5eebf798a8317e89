UPDATE chores SET until = :until WHERE name = :name AND owner = :owner RETURNING name;
