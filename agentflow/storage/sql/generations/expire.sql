DELETE FROM generations WHERE id IN (SELECT id FROM generations WHERE at <= :before ORDER BY at LIMIT :limit) RETURNING run;
