DELETE FROM links WHERE run IN (SELECT value FROM json_each(:runs));
