-- A worker that was declared dead is not revived: it must register anew, under another id.
UPDATE workers SET expires_at = :expires_at, claimed_at = :claimed_at WHERE id = :id AND expires_at > :now RETURNING id;
