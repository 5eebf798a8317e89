-- A waiting run that still lives in a worker's memory wants to go on by itself.
UPDATE runs SET state = 'queued' WHERE key = :run AND epoch = :epoch AND state = 'waiting' RETURNING key;
