-- All but the newest row: SQLite would give its key to the next run.
DELETE FROM runs WHERE key IN (SELECT value FROM json_each(:runs)) AND key < (SELECT MAX(key) FROM runs) RETURNING key;
