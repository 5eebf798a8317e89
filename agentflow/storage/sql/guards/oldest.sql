-- When the oldest of the last `most` calls of a version in a rollout ended; no row where there are fewer.
SELECT at FROM generations WHERE rollout = :rollout AND number = :number AND at >= :since ORDER BY at DESC LIMIT 1 OFFSET :most;
