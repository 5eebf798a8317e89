SELECT * FROM queues WHERE name = :name FOR UPDATE;
