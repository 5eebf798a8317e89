SELECT wrong, locked_until FROM tries WHERE name = :name;
