DELETE FROM callbacks WHERE run IN (SELECT value FROM json_each(:runs));
