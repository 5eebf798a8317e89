SELECT * FROM grants WHERE budget IN (SELECT value FROM json_each(:budgets)) ORDER BY budget;
