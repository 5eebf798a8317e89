INSERT INTO tasks (name, queue, description, schema, kind, hooked, version, seen_at)
VALUES (:name, :queue, :description, :schema, :kind, :hooked, :version, :now)
ON CONFLICT (name) DO UPDATE
SET queue = excluded.queue, description = excluded.description, schema = excluded.schema, kind = excluded.kind, hooked = excluded.hooked,
    version = excluded.version, seen_at = excluded.seen_at;
