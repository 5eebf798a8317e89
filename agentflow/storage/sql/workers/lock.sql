-- PostgreSQL adds FOR UPDATE.
SELECT id FROM workers WHERE id = :id;
