DELETE FROM journal
WHERE rowid IN (SELECT journal.rowid FROM json_each(:runs) AS one CROSS JOIN journal ON journal.run = one.value LIMIT :limit)
RETURNING run;
