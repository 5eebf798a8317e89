DELETE FROM requesters WHERE run IN (SELECT value FROM json_each(:runs));
