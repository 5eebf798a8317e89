DELETE FROM grants WHERE run IN (SELECT value FROM json_each(:runs));
