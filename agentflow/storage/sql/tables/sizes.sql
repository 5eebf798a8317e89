-- Rows are guessed from the ends of the tables, from which the oldest are deleted: to count them would be to read them all. The file as a
-- whole has no name.
SELECT '' AS name, NULL AS rows, page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()
UNION ALL SELECT 'runs', (SELECT MAX(key) FROM runs) - (SELECT MIN(key) FROM runs) + 1, NULL
UNION ALL SELECT 'journal', (SELECT MAX(rowid) FROM journal) - (SELECT MIN(rowid) FROM journal) + 1, NULL
UNION ALL SELECT 'transcripts', (SELECT MAX(rowid) FROM transcripts) - (SELECT MIN(rowid) FROM transcripts) + 1, NULL
UNION ALL SELECT 'waitpoints', (SELECT MAX(rowid) FROM waitpoints) - (SELECT MIN(rowid) FROM waitpoints) + 1, NULL
UNION ALL SELECT 'inputs', (SELECT MAX(rowid) FROM inputs) - (SELECT MIN(rowid) FROM inputs) + 1, NULL
UNION ALL SELECT 'threads', (SELECT MAX(rowid) FROM threads) - (SELECT MIN(rowid) FROM threads) + 1, NULL
UNION ALL SELECT 'messages', (SELECT MAX(rowid) FROM messages) - (SELECT MIN(rowid) FROM messages) + 1, NULL
UNION ALL SELECT 'usage', (SELECT MAX(rowid) FROM usage) - (SELECT MIN(rowid) FROM usage) + 1, NULL
UNION ALL SELECT 'blobs', (SELECT MAX(rowid) FROM blobs) - (SELECT MIN(rowid) FROM blobs) + 1, NULL
UNION ALL SELECT 'idempotency', (SELECT MAX(rowid) FROM idempotency) - (SELECT MIN(rowid) FROM idempotency) + 1, NULL
UNION ALL SELECT 'starts', (SELECT MAX(rowid) FROM starts) - (SELECT MIN(rowid) FROM starts) + 1, NULL;
