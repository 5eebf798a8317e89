INSERT INTO tasks (name, queue, description, schema, kind, seen_at) VALUES (:name, :queue, :description, :schema, :kind, :now)
ON CONFLICT (name) DO UPDATE
SET queue = excluded.queue, description = excluded.description, schema = excluded.schema, kind = excluded.kind, seen_at = excluded.seen_at;
