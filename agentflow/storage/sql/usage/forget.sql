DELETE FROM usage
WHERE rowid IN (SELECT usage.rowid FROM json_each(:runs) AS one CROSS JOIN usage ON usage.scope = 'run:' || one.value LIMIT :limit)
RETURNING run;
