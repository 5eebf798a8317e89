UPDATE threads SET messages = messages + :count, touched_at = :now WHERE id = :id RETURNING *;
