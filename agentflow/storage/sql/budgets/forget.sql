DELETE FROM budgets WHERE run IN (SELECT value FROM json_each(:runs));
