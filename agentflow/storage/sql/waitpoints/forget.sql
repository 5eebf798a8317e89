DELETE FROM waitpoints
WHERE rowid IN (SELECT waitpoints.rowid FROM json_each(:runs) AS one CROSS JOIN waitpoints ON waitpoints.run = one.value LIMIT :limit)
RETURNING run;
