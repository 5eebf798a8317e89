DELETE FROM transcripts
WHERE rowid IN (SELECT transcripts.rowid FROM json_each(:runs) AS one CROSS JOIN transcripts ON transcripts.run = one.value LIMIT :limit)
RETURNING run;
