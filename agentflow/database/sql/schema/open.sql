-- SQLite: there is one schema, and nobody else writes now.
SELECT 1
