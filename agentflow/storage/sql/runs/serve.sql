-- A worker has come that serves these: what was set aside for want of code goes on.
UPDATE runs SET unserved = 0, note = NULL
WHERE state = 'queued' AND unserved = 1 AND queue IN (SELECT value FROM json_each(:queues))
  AND task || COALESCE('@' || version, '') IN (SELECT value FROM json_each(:tasks))
RETURNING id;
