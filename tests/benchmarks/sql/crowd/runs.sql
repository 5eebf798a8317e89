WITH RECURSIVE copies (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM copies WHERE number < :copies)
INSERT INTO runs (id, task, queue, state, epoch, attempt, position, input, tags, metadata, version, code, wakes, created_at, started_at, watched)
SELECT id || '_' || number, task, queue, state, epoch, attempt, position, input, tags, metadata, version, code, wakes, created_at, started_at, watched
FROM runs, copies WHERE id = :template;
