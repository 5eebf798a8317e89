INSERT INTO waitpoints (id, kind, subject, schema, due_at, created_at)
VALUES (:id, 'token', :subject, :schema, :due_at, :now)
RETURNING *;
