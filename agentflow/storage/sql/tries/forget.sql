DELETE FROM tries WHERE name IN (SELECT name FROM tries WHERE since <= :before AND locked_until <= :now ORDER BY since LIMIT :limit) RETURNING name;
