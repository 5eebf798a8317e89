-- Takes the runs whose hooks are to be called; another worker may take them again once `again` has passed.
UPDATE runs SET hooks_at = :again
WHERE key IN (
  SELECT key FROM runs
  WHERE hooks = 'due' AND hooks_at <= :now AND task IN (SELECT json_array_elements_text(CAST(:tasks AS json)))
  ORDER BY hooks_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
RETURNING *;
