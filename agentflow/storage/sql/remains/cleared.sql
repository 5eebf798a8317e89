DELETE FROM remains WHERE run IN (SELECT value FROM json_each(:runs));
