DELETE FROM shown
WHERE rowid IN (SELECT shown.rowid FROM json_each(:runs) AS one CROSS JOIN shown ON shown.run = one.value LIMIT :limit)
RETURNING run;
