DELETE FROM joined
WHERE rowid IN (SELECT joined.rowid FROM json_each(:runs) AS one CROSS JOIN joined ON joined.run = one.value LIMIT :limit)
RETURNING run;
