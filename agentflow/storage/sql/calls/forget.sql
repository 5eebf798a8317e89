DELETE FROM calls WHERE run IN (SELECT value FROM json_each(:runs));
