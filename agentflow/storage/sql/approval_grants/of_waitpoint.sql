SELECT * FROM approval_grants WHERE waitpoint = :waitpoint ORDER BY id LIMIT 1;
