DELETE FROM inputs
WHERE rowid IN (SELECT inputs.rowid FROM json_each(:runs) AS one CROSS JOIN inputs ON inputs.run = one.value LIMIT :limit)
RETURNING run;
