DELETE FROM askers WHERE run IN (SELECT value FROM json_each(:runs));
