SELECT * FROM approval_grants WHERE id = :id;
