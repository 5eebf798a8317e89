-- Takes the runs whose hooks are to be called; another worker may take them again once `again` has passed.
UPDATE runs SET hooks_at = :again
WHERE key IN (
  SELECT key FROM runs
  WHERE hooks = 'due' AND hooks_at <= :now AND task IN (SELECT value FROM json_each(:tasks))
  ORDER BY hooks_at LIMIT :limit
)
RETURNING *;
