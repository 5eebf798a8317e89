-- What a limited queue could let go: the first runs of every lane that has room, lane after lane, of `lanes` lanes at most. It looks at
-- `look` lanes at most; the last of so many is shown (`n` is `look`), perhaps without a key. The queue's row is locked.
-- (EXISTS instead of `LIMIT 1) = 1` may be answered by reading all runs once.)
WITH RECURSIVE
lanes (past, lane, n) AS (
  SELECT 0, (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = CAST(:queue AS TEXT) AND COALESCE(concurrency_key, '') > CAST(:after AS TEXT) COLLATE "C"
  ), CAST(0 AS BIGINT)
  UNION ALL
  SELECT CASE WHEN lane IS NULL THEN 1 ELSE past END, CASE WHEN lane IS NULL THEN (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs WHERE state = 'queued' AND unserved = 0 AND queue = CAST(:queue AS TEXT)
  ) ELSE (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = CAST(:queue AS TEXT) AND COALESCE(concurrency_key, '') > lanes.lane
  ) END, n + 1 FROM lanes
  WHERE n < CAST(:look AS BIGINT)
    AND (past = 0 OR (lane IS NOT NULL AND (CAST(:after AS TEXT) IS NULL OR lane <= CAST(:after AS TEXT) COLLATE "C")))
),
room AS (
  SELECT lane, n FROM lanes
  WHERE lane IS NOT NULL AND (past = 0 OR CAST(:after AS TEXT) IS NULL OR lane <= CAST(:after AS TEXT) COLLATE "C") AND (n = CAST(:look AS BIGINT) OR ((
    CAST(:key_concurrency AS BIGINT) IS NULL
    OR CAST(:key_concurrency AS BIGINT) > (
      SELECT COUNT(*) FROM runs WHERE state = 'running' AND queue = CAST(:queue AS TEXT) AND COALESCE(concurrency_key, '') = lanes.lane
    )
  ) AND (
    SELECT 1 FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = CAST(:queue AS TEXT) AND COALESCE(concurrency_key, '') = lanes.lane
      AND task || COALESCE('@' || version, '') IN (SELECT json_array_elements_text(CAST(:tasks AS json)))
      AND (epoch > 0 OR expires_at IS NULL OR expires_at > CAST(:now AS BIGINT)) LIMIT 1) = 1))
  LIMIT CAST(:lanes AS BIGINT)
)
SELECT room.lane, room.n, one.key, one.weight, one.epoch, (
  SELECT COUNT(*) FROM runs WHERE state = 'running' AND queue = CAST(:queue AS TEXT) AND COALESCE(concurrency_key, '') = room.lane
) AS running
FROM room LEFT JOIN LATERAL (
  SELECT key, position, weight, epoch FROM runs
  WHERE state = 'queued' AND unserved = 0 AND queue = CAST(:queue AS TEXT) AND COALESCE(concurrency_key, '') = room.lane
    AND task || COALESCE('@' || version, '') IN (SELECT json_array_elements_text(CAST(:tasks AS json)))
    AND (epoch > 0 OR expires_at IS NULL OR expires_at > CAST(:now AS BIGINT))
  ORDER BY position, key LIMIT (SELECT GREATEST(1, (CAST(:limit AS BIGINT) + COUNT(*) - 1) / COUNT(*)) FROM room)
) AS one ON TRUE
WHERE EXISTS (SELECT 1 FROM workers WHERE id = :worker AND expires_at > CAST(:now AS BIGINT))
ORDER BY room.n, one.position, one.key;
