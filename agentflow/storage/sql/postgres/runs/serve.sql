-- A worker has come that serves these: what was set aside for want of code goes on.
UPDATE runs SET unserved = 0, note = NULL
WHERE state = 'queued' AND unserved = 1 AND queue IN (SELECT json_array_elements_text(CAST(:queues AS json)))
  AND task || COALESCE('@' || version, '') IN (SELECT json_array_elements_text(CAST(:tasks AS json)))
RETURNING id;
