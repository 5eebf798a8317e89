SELECT * FROM queues WHERE name = :name;
