SELECT id, expires_at FROM workers WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit;
