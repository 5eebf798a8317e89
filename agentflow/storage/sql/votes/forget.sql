DELETE FROM votes WHERE run IN (SELECT value FROM json_each(:runs));
