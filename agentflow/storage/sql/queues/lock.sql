-- Whoever claims from a limited queue holds its row. PostgreSQL adds FOR UPDATE.
SELECT * FROM queues WHERE name = :name;
