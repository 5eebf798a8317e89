-- What a limited queue could let go: the first runs of every lane that has room, lane after lane, of `lanes` lanes at most. It looks at
-- `look` lanes at most; the last of so many is shown (`n` is `look`), perhaps without a key. The queue's row is locked.
WITH RECURSIVE
lanes (past, lane, n) AS NOT MATERIALIZED (
  SELECT 0, (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = :queue AND COALESCE(concurrency_key, '') > CAST(:after AS TEXT)
  ), 0
  UNION ALL
  SELECT CASE WHEN lane IS NULL THEN 1 ELSE past END, CASE WHEN lane IS NULL THEN (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs WHERE state = 'queued' AND unserved = 0 AND queue = :queue
  ) ELSE (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = :queue AND COALESCE(concurrency_key, '') > lanes.lane
  ) END, n + 1 FROM lanes
  WHERE n < :look AND (past = 0 OR (lane IS NOT NULL AND (CAST(:after AS TEXT) IS NULL OR lane <= CAST(:after AS TEXT))))
),
room AS (
  SELECT lane, n FROM lanes
  WHERE lane IS NOT NULL AND (past = 0 OR CAST(:after AS TEXT) IS NULL OR lane <= CAST(:after AS TEXT)) AND (n = :look OR ((
    :key_concurrency IS NULL
    OR :key_concurrency > (SELECT COUNT(*) FROM runs WHERE state = 'running' AND queue = :queue AND COALESCE(concurrency_key, '') = lanes.lane)
  ) AND EXISTS (
    SELECT 1 FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = :queue AND COALESCE(concurrency_key, '') = lanes.lane
      AND task || COALESCE('@' || version, '') IN (SELECT value FROM json_each(:tasks))
      AND (epoch > 0 OR expires_at IS NULL OR expires_at > :now))))
  LIMIT :lanes
)
SELECT room.lane, room.n, one.key, one.weight, one.epoch,
  (SELECT COUNT(*) FROM runs WHERE state = 'running' AND queue = :queue AND COALESCE(concurrency_key, '') = room.lane) AS running
FROM room LEFT JOIN runs AS one ON one.key IN (
  SELECT key FROM runs
  WHERE state = 'queued' AND unserved = 0 AND queue = :queue AND COALESCE(concurrency_key, '') = room.lane
    AND task || COALESCE('@' || version, '') IN (SELECT value FROM json_each(:tasks))
    AND (epoch > 0 OR expires_at IS NULL OR expires_at > :now)
  ORDER BY position, key LIMIT (SELECT MAX(1, (:limit + COUNT(*) - 1) / COUNT(*)) FROM room)
)
WHERE EXISTS (SELECT 1 FROM workers WHERE id = :worker AND expires_at > :now)
ORDER BY room.n, one.position, one.key;
