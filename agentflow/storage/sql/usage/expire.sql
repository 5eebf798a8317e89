DELETE FROM usage WHERE rowid IN (SELECT rowid FROM usage WHERE expires_at <= :now LIMIT :limit) RETURNING run;
