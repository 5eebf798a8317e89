DELETE FROM votes WHERE waitpoint IN (SELECT value FROM json_each(:waitpoints));
