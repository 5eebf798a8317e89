-- Every transition of a run takes this lock first. PostgreSQL adds FOR UPDATE; under BEGIN IMMEDIATE a read is enough.
SELECT * FROM runs WHERE id = :id;
