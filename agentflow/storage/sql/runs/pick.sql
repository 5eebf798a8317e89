-- Queued runs for a worker, of queues without limits. It goes round the lanes, a lane being a queue and a concurrency key, and takes as many
-- of each: so a key with ten thousand runs keeps no other waiting. `queues` is [[queue, lane after which to begin or null], …] in the order
-- of turns. A queue that has a row is limited or paused, and claimed from otherwise. It looks at `look` lanes of a queue at most; the last
-- of so many is shown (`n` is `look`), perhaps without a key.
WITH RECURSIVE
served AS (SELECT key AS turn, value ->> 0 AS queue, value ->> 1 AS after FROM json_each(:queues)),
lanes (queue, after, past, lane, n) AS NOT MATERIALIZED (
  SELECT queue, after, 0, (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = served.queue AND COALESCE(concurrency_key, '') > served.after
  ), 0 FROM served WHERE NOT EXISTS (SELECT 1 FROM queues WHERE name = served.queue)
  UNION ALL
  SELECT queue, after, CASE WHEN lane IS NULL THEN 1 ELSE past END, CASE WHEN lane IS NULL THEN (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs WHERE state = 'queued' AND unserved = 0 AND queue = lanes.queue
  ) ELSE (
    SELECT MIN(COALESCE(concurrency_key, '')) FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = lanes.queue AND COALESCE(concurrency_key, '') > lanes.lane
  ) END, n + 1 FROM lanes WHERE n < :look AND (past = 0 OR (lane IS NOT NULL AND (after IS NULL OR lane <= after)))
),
chosen AS (
  SELECT queue, lane, n FROM lanes
  WHERE lane IS NOT NULL AND (past = 0 OR after IS NULL OR lane <= after) AND (n = :look OR EXISTS (
    SELECT 1 FROM runs
    WHERE state = 'queued' AND unserved = 0 AND queue = lanes.queue AND COALESCE(concurrency_key, '') = lanes.lane
      AND task || COALESCE('@' || version, '') IN (SELECT value FROM json_each(:tasks))
      AND (epoch > 0 OR expires_at IS NULL OR expires_at > :now)))
  LIMIT :limit
)
SELECT chosen.queue, chosen.lane, chosen.n, one.key FROM chosen LEFT JOIN runs AS one ON one.key IN (
  SELECT key FROM runs
  WHERE state = 'queued' AND unserved = 0 AND queue = chosen.queue AND COALESCE(concurrency_key, '') = chosen.lane
    AND task || COALESCE('@' || version, '') IN (SELECT value FROM json_each(:tasks))
    AND (epoch > 0 OR expires_at IS NULL OR expires_at > :now)
  ORDER BY position, key LIMIT (SELECT :limit / COUNT(*) FROM chosen)
)
WHERE EXISTS (SELECT 1 FROM workers WHERE id = :worker AND expires_at > :now);
