-- A lease that ended while nobody swept its worker goes on. A worker that was swept is not revived: it registers anew, under another id.
UPDATE workers SET expires_at = :expires_at, claimed_at = :claimed_at WHERE id = :id RETURNING id;
