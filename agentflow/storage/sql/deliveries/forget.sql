DELETE FROM deliveries WHERE run IN (SELECT value FROM json_each(:runs));
