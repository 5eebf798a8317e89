DELETE FROM usage WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage WHERE expires_at <= :now LIMIT :limit)) RETURNING run;
