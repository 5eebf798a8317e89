INSERT INTO prompt_versions (prompt, number, hash, body, source, note, actor, created_at)
VALUES (:prompt, :number, :hash, :body, :source, :note, :actor, :now) RETURNING *;
