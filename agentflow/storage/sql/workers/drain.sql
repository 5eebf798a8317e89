UPDATE workers SET state = 'draining' WHERE id = :id RETURNING *;
