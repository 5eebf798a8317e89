UPDATE waitpoints SET subject = :subject WHERE id = :id RETURNING *;
