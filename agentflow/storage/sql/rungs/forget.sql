DELETE FROM rungs WHERE run IN (SELECT value FROM json_each(:runs));
