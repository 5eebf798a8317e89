UPDATE approval_grants SET uses = uses + 1 WHERE id = :id RETURNING *;
