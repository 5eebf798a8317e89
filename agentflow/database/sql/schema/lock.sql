-- SQLite: the transaction holds the write lock from its start.
SELECT 1
